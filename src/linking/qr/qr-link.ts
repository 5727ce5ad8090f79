import { Problem } from '../../problem.ts'
import { digest } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { LinkOutcome } from '../outcome.ts'
import { type LinkTrail, trailOf } from '../way.ts'

/** Seconds. */
export const qrLife = 600
const trailLife = 86_400
/** RFC 8628 section 5.1: a code of six digits stands five guesses. */
export const maxTries = 5

/**
 * A link between two devices: a screen shows a code to be scanned, a phone proves the account, and the code that the
 * phone then shows is typed on the screen. Bound to one browser at each end; nothing is linked unless both have
 * confirmed.
 */
export interface QrLink extends LinkTrail {
  id: string
  /** What the phone's address ends with. */
  token: string
  /** Where the member is, and agrees in the end: signed in on the screen already, or to sign in on the phone. */
  agreesOn: 'screen' | 'phone'
  /** The browser of the screen; a counter's is bound when it shows the page. */
  screen?: string
  memberId?: string
  sessionUid?: string
  phone?: { browser: string; transactionId: string }
  /** Made when the phone has confirmed. */
  code?: string
  tries: number
  isConfirmed: boolean
  /** The screen's own transaction, once the account was handed over to it. */
  onwardId?: string
  /** How it ended before there was a transaction to end. */
  ended?: LinkOutcome
  returnTo?: string
  clientState?: string
}

export type FoundQr = { link: QrLink } | { over: 'unknown' | 'expired'; trail: LinkTrail | undefined }

const keyOf = (id: string) => `qr:${id}`
const doorOf = (token: string) => `qr-door:${digest(token)}`

export async function startQr(
  { store, random }: { store: Ephemeral; random: Random },
  fresh: Omit<QrLink, 'id' | 'token' | 'tries' | 'isConfirmed'>,
): Promise<QrLink> {
  const link = { ...fresh, id: random.token(), token: random.token(), tries: 0, isConfirmed: false }
  await store.set(doorOf(link.token), JSON.stringify({ id: link.id, trail: trailOf(fresh) }), trailLife)
  await store.set(keyOf(link.id), JSON.stringify(link), qrLife)
  return link
}

/** As its screen knows it. */
export async function findQr(store: Ephemeral, id: string): Promise<QrLink | undefined> {
  const stored = /^[\w-]{43}$/.test(id) ? await store.get(keyOf(id)) : undefined
  return stored === undefined ? undefined : JSON.parse(stored)
}

/** As a phone finds it, which has scanned the code. */
export async function findScanned(store: Ephemeral, token: string): Promise<FoundQr> {
  const door = /^[\w-]{43}$/.test(token) ? await store.get(doorOf(token)) : undefined
  if (door === undefined) return { over: 'unknown', trail: undefined }
  const { id, trail } = JSON.parse(door)
  const link = await findQr(store, id)
  return link ? { link } : { over: 'expired', trail }
}

/** Changes what was read, unless the other end, or another tab, did so first. @throws Problem transaction_over */
export async function changeQr(store: Ephemeral, link: QrLink, change: Partial<QrLink>): Promise<QrLink> {
  const changed = { ...link, ...change }
  if (await store.replace(keyOf(link.id), JSON.stringify(link), JSON.stringify(changed))) return changed
  throw new Problem('transaction_over')
}
