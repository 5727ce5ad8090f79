import { digest } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'

/**
 * What an application opens for itself before it presents an ID token: the token is taken for this and nothing else.
 * Random, ten minutes, good for one presentation, whatever comes of it.
 */
export interface LinkSession {
  clientId: string
  connectionId: string
  /** What an ID token has to carry if it carries a nonce at all: not every SDK can put one in. */
  nonce: string
  /** The member whose access token came with the request: nobody else may take the link. */
  memberId?: string
  returnTo?: string
  clientState?: string
}

/** Seconds. */
export const sessionLife = 600

const keyOf = (id: string) => `link-session:${digest(id)}`

export async function openLinkSession(
  { store, random }: { store: Ephemeral; random: Random },
  fresh: Omit<LinkSession, 'nonce'>,
): Promise<{ id: string; nonce: string }> {
  const [id, nonce] = [random.token(), random.token()]
  const session: LinkSession = { ...fresh, nonce }
  await store.set(keyOf(id), JSON.stringify(session), sessionLife)
  return { id, nonce }
}

/** Of any number who come with it, one gets it. */
export async function takeLinkSession(store: Ephemeral, id: string): Promise<LinkSession | undefined> {
  const stored = /^[\w-]{43}$/.test(id) ? await store.take(keyOf(id)) : undefined
  return stored === undefined ? undefined : JSON.parse(stored)
}
