import type { SignIn } from '../members/authentication.ts'
import type { Ephemeral } from '../store/ephemeral.ts'

/** What the steps of one interaction have learned so far. Reached only with the interaction's own cookie. */
export interface Flow {
  signIn?: SignIn & { at: number }
  registrationId?: string
  recoveryId?: string
  /** The member was asked to give agreements anew, and put it off. */
  renewalPutOff?: boolean
  /** The connection whose account the member was asked to link, and whether that has been answered. */
  linkOffer?: string
  linkOfferOver?: boolean
  /** The link transaction of an upstream sign-in. */
  transactionId?: string
}

const ttlSeconds = 3600

/**
 * A proof of just now. Sessions count in whole seconds: one that begins in the very second in which sessions were ended
 * is dated at the next, the first in which sessions count again.
 */
export function signedInAt(now: Date, signIn: SignIn): NonNullable<Flow['signIn']> {
  return { ...signIn, at: Math.max(Math.floor(now.getTime() / 1000), Math.ceil(signIn.validFrom)) }
}

export async function readFlow(store: Ephemeral, uid: string): Promise<Flow> {
  const stored = await store.get(`flow:${uid}`)
  return stored ? JSON.parse(stored) : {}
}

export async function saveFlow(store: Ephemeral, uid: string, flow: Flow): Promise<void> {
  await store.set(`flow:${uid}`, JSON.stringify(flow), ttlSeconds)
}

export async function forgetFlow(store: Ephemeral, uid: string): Promise<void> {
  await store.delete(`flow:${uid}`)
}
