import { Problem } from '../problem.ts'
import type { Ephemeral } from '../store/ephemeral.ts'

/** At most `limit` steps in each window of `windowSeconds`. */
export interface Budget {
  name: string
  limit: number
  windowSeconds: number
}

/**
 * Takes one step from a budget, counted across processes; the step is counted before the work it allows, so parallel
 * guesses cannot pass.
 * @throws Problem too_many_requests, with Retry-After
 */
export async function spend(store: Ephemeral, budget: Budget, subject: string): Promise<void> {
  const { count, resetSeconds } = await store.increment(
    `rate:${budget.name}:${subject}`,
    budget.windowSeconds,
  )
  if (count > budget.limit) {
    throw new Problem('too_many_requests', {
      params: { minutes: Math.ceil(resetSeconds / 60) },
      headers: { 'Retry-After': String(resetSeconds) },
    })
  }
}

/** Forgets the steps taken, e.g. after a success. */
export async function refund(store: Ephemeral, budget: Budget, subject: string): Promise<void> {
  await store.delete(`rate:${budget.name}:${subject}`)
}

/** The source of a request as limits count it: an IPv4 address, or the /64 network of an IPv6 one, which one person owns whole. */
export function sourceOf(ip: string): string {
  const address = ip.replace(/^::ffff:/, '')
  return address.includes(':') ? expand(address).slice(0, 4).join(':') : address
}

function expand(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const left = head.split(':').filter(Boolean)
  const right = (tail ?? '').split(':').filter(Boolean)
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeros, ...right]
}
