import type { Random } from '../security/random.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { Attempt } from './connector.ts'

const ttlSeconds = 600

/** What this browser was sent to an upstream for. Its state is its key and works once. */
export interface PendingAuthorization {
  attempt: Attempt
  connectionId: string
  /** The browser it was begun in; an answer that arrives in another one is not its answer. */
  browser: string
  transactionId: string
  /** What the transaction makes this trip for, when not for its own account. */
  step?: string
  /** The relying party that waits for it, when one does. */
  clientId?: string
}

/** RFC 9700 section 4.4.2.2: a callback of its own for each connection, so that one upstream cannot answer for another. */
export function redirectUriOf(issuer: string, connectionId: string): string {
  return `${issuer}/connections/${connectionId}/callback`
}

export async function savePendingAuthorization(
  store: Ephemeral,
  pending: PendingAuthorization,
): Promise<void> {
  await store.set(`pending:${pending.attempt.state}`, JSON.stringify(pending), ttlSeconds)
}

/** Looks without taking: an answer that reaches the wrong browser must not spoil the right one's. */
export async function peekPendingAuthorization(
  store: Ephemeral,
  state: string,
): Promise<PendingAuthorization | undefined> {
  const stored = isState(state) ? await store.get(`pending:${state}`) : undefined
  return stored ? JSON.parse(stored) : undefined
}

/** Takes what `state` was made for: exactly one answer is ever matched to it. */
export async function takePendingAuthorization(
  store: Ephemeral,
  state: string,
): Promise<PendingAuthorization | undefined> {
  const stored = isState(state) ? await store.take(`pending:${state}`) : undefined
  return stored ? JSON.parse(stored) : undefined
}

/** New state, nonce and PKCE verifier (RFC 7636 section 4.1) for one trip. */
export function newAttempt(random: Random, rest: Omit<Attempt, 'state' | 'nonce' | 'codeVerifier'>): Attempt {
  return { ...rest, state: random.token(), nonce: random.token(), codeVerifier: random.token() }
}

const isState = (text: string) => /^[\w-]{20,100}$/.test(text)
