import type { VerifiedIdentity } from '../../connections/connector.ts'
import { digest } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { Transactions } from '../transaction.ts'
import { type LinkTrail, trailOf } from '../way.ts'

/**
 * A one-time address to a link whose account is proved already: by a relying party's word, or by an ID token that an
 * application has presented. It leads the first browser that goes on from its page, and no other.
 */
export interface Invitation extends LinkTrail {
  clientId: string
  identity: VerifiedIdentity
  /** The only member who may take it; unset, it is that of whoever signs in. */
  memberId?: string
  returnTo?: string
  clientState?: string
}

interface Stored {
  invitation: Invitation
  taken?: { browser: string; transactionId: string }
}

/** Seconds. */
export const invitationLife = 600
/** For this long it is known whose invitation it was, so that a late try leaves a trace. */
const trailLife = 86_400

const pattern = /^[\w-]{43}$/
// The store holds only the digest of what opens it.
const keyOf = (token: string) => `invitation:${digest(token)}`
const trailKey = (token: string) => `invitation-trail:${digest(token)}`

interface InvitationDeps {
  store: Ephemeral
  random: Random
  issuer: string
}

/** Makes the address. Whoever gets it first has it: it is handed to the client alone. */
export async function invite(
  { store, random, issuer }: InvitationDeps,
  invitation: Invitation,
): Promise<string> {
  const token = random.token()
  await store.set(trailKey(token), JSON.stringify(trailOf(invitation)), trailLife)
  await store.set(keyOf(token), JSON.stringify({ invitation } satisfies Stored), invitationLife)
  return `${issuer}/invitation/${token}`
}

export type Found =
  | { state: 'open'; invitation: Invitation }
  /** By one of these browsers, which is on its way. */
  | { state: 'taken'; transactionId: string }
  /** Over, somebody else's, or never there; `trail` says whose it was, when it is known. */
  | { state: 'over'; reason: 'used' | 'expired' | 'unknown'; trail: LinkTrail | undefined }

export async function findInvitation(
  store: Ephemeral,
  token: string,
  browsers: readonly string[],
): Promise<Found> {
  if (!pattern.test(token)) return { state: 'over', reason: 'unknown', trail: undefined }
  const stored = await read(store, token)
  if (!stored) {
    const trail = await store.get(trailKey(token))
    return trail
      ? { state: 'over', reason: 'expired', trail: JSON.parse(trail) }
      : { state: 'over', reason: 'unknown', trail: undefined }
  }
  const { invitation, taken } = stored
  if (!taken) return { state: 'open', invitation }
  return browsers.includes(taken.browser)
    ? { state: 'taken', transactionId: taken.transactionId }
    : { state: 'over', reason: 'used', trail: trailOf(invitation) }
}

/**
 * Takes it for this browser: of any number that try at once, one. Its link transaction, or undefined for all the others,
 * who find out with `findInvitation` where that has led.
 */
export async function takeInvitation(
  { store, transactions }: { store: Ephemeral; transactions: Transactions },
  token: string,
  browser: string,
): Promise<string | undefined> {
  const text = await store.get(keyOf(token))
  const stored: Stored | undefined = text === undefined ? undefined : JSON.parse(text)
  if (!text || !stored || stored.taken) return undefined
  const { identity, ...rest } = stored.invitation
  const fresh = { ...rest, browser, purpose: 'link', forceSignIn: false, proved: { identity } } as const
  const transaction = await transactions.start(fresh)
  const taken: Stored = { ...stored, taken: { browser, transactionId: transaction.id } }
  // Only now it is taken: a process that dies before has left it as it was.
  if (await store.replace(keyOf(token), text, JSON.stringify(taken))) return transaction.id
  await transactions.burn(transaction, 'declined')
  return undefined
}

/** Ends it unused: the invitation that was there, for one caller. */
export async function discardInvitation(store: Ephemeral, token: string): Promise<Invitation | undefined> {
  const text = await store.get(keyOf(token))
  const stored: Stored | undefined = text === undefined ? undefined : JSON.parse(text)
  if (!text || !stored || stored.taken) return undefined
  const gone: Stored = { ...stored, taken: { browser: '', transactionId: '' } }
  return (await store.replace(keyOf(token), text, JSON.stringify(gone))) ? stored.invitation : undefined
}

async function read(store: Ephemeral, token: string): Promise<Stored | undefined> {
  const text = await store.get(keyOf(token))
  return text === undefined ? undefined : JSON.parse(text)
}
