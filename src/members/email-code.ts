import { equalInConstantTime, keyedDigest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { Ephemeral } from '../store/ephemeral.ts'

/** NIST SP 800-63B-4 section 3.1.3.2: a code lives ten minutes at most; OWASP ASVS 6.6.3: guessing it is bounded. */
export const codeTtlSeconds = 600
const maxTries = 5

export interface EmailCodes {
  /** Makes the code for `id`, with tries of its own; an earlier one stops working. The store keeps a keyed digest of it. */
  issue(id: string): Promise<string>
  /** Judges one try. A right code works once; after five tries none does. */
  redeem(id: string, code: string): Promise<CodeVerdict>
}

export type CodeVerdict =
  | { outcome: 'right' }
  | { outcome: 'wrong'; triesLeft: number }
  | { outcome: 'used_up' }

/** @param keys newest first: the newest makes codes, and those the others made are taken as well. */
export function emailCodes(store: Ephemeral, random: Random, keys: readonly string[]): EmailCodes {
  const seals = (id: string, code: string) =>
    keys.map((key) => keyedDigest(key, 'email code', `${id}\0${code}`))
  return {
    async issue(id) {
      const code = random.digits(6)
      const [seal] = seals(id, code)
      if (!seal) throw new RangeError('codes need at least one key')
      await store.set(`code:${id}`, seal, codeTtlSeconds)
      // Whoever asks for codes is limited in that, so that new ones do not make for endless tries.
      await store.delete(`code-tries:${id}`)
      return code
    },
    async redeem(id, code) {
      // Counted before the comparison, so that parallel guesses do not share a try.
      const { count } = await store.increment(`code-tries:${id}`, codeTtlSeconds)
      if (count > maxTries) return { outcome: 'used_up' }
      const stored = await store.get(`code:${id}`)
      if (
        stored &&
        seals(id, code).some((seal) => equalInConstantTime(stored, seal)) &&
        (await store.take(`code:${id}`)) === stored
      )
        return { outcome: 'right' }
      return count === maxTries ? { outcome: 'used_up' } : { outcome: 'wrong', triesLeft: maxTries - count }
    },
  }
}
