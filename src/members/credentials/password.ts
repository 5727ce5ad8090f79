import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary } from '@zxcvbn-ts/language-common'
import argon2 from 'argon2'
import { Problem } from '../../problem.ts'

/** Hashes and verifies off the event loop (argon2 runs in the thread pool), a few at a time. */
export interface PasswordHasher {
  hash(password: string): Promise<string>
  /** Takes the same time when there is no hash, so that an answer does not tell whether an account exists. */
  verify(hash: string | undefined, password: string): Promise<boolean>
  /** True when the hash was made with weaker parameters than today's. */
  isOutdated(hash: string): boolean
}

export interface HashCost {
  memoryKiB: number
  passes: number
}

/** OWASP Password Storage: argon2id, 19 MiB, two passes, one lane. */
export const recommendedCost: HashCost = { memoryKiB: 19_456, passes: 2 }

const longestQueue = 64

/**
 * `concurrency` bounds memory and leaves threads for signing. Work that would wait behind a long queue is refused, so
 * that a flood of sign-ins does not delay everything else.
 */
export function createPasswordHasher(concurrency: number, cost: HashCost = recommendedCost): PasswordHasher {
  const options = {
    type: argon2.argon2id,
    memoryCost: cost.memoryKiB,
    timeCost: cost.passes,
    parallelism: 1,
  } as const
  const exclusively = createGate(concurrency, longestQueue)
  const decoy = exclusively(() => argon2.hash('no account has this password', options))
  return {
    hash: (password) => exclusively(() => argon2.hash(password, options)),
    async verify(hash, password) {
      const stored = hash ?? (await decoy)
      const matches = await exclusively(() => argon2.verify(stored, password))
      return matches && hash !== undefined
    },
    isOutdated: (hash) => argon2.needsRehash(hash, options),
  }
}

function createGate(concurrency: number, queueLimit: number) {
  const waiting: (() => void)[] = []
  let running = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= concurrency) {
      if (waiting.length >= queueLimit) throw new Problem('unavailable', { headers: { 'Retry-After': '2' } })
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}

const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, maxLength: 128 })
const maxLength = 128

export type PasswordFault =
  | 'password_too_short'
  | 'password_too_long'
  | 'password_common'
  | 'password_context'

/**
 * NIST SP 800-63B-4 section 3.1.1: length and a blocklist, no composition rules. A code point counts as one; nothing
 * is trimmed or folded. `context` is what an attacker knows: the address, the name, the service's name.
 */
export function findPasswordFault(
  password: string,
  minLength: number,
  context: readonly string[],
): PasswordFault | undefined {
  const { length } = [...password]
  if (length < minLength) return 'password_too_short'
  if (length > maxLength) return 'password_too_long'
  const words = context
    .flatMap((text) => [text, ...text.split(/[^\p{L}\p{N}]+/u)])
    .filter((word) => word.length > 2)
  if (words.some((word) => covers(word, password))) return 'password_context'
  return estimator.check(password, words).score < 3 ? 'password_common' : undefined
}

/** True when most of the password is one word, once or again and again, that everybody knows of this member. */
function covers(word: string, password: string): boolean {
  const rest = password.toLowerCase().replaceAll(word.toLowerCase(), '')
  return rest.length * 2 < password.length
}
