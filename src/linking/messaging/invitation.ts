import type { VerifiedIdentity } from '../../connections/connector.ts'
import { digest } from '../../security/digest.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'

/** LINE's own link tokens live as long. */
const ttlSeconds = 600

/** The account a link token was issued for: whoever opens the link is not yet known to be its holder. */
export type InvitedIdentity = VerifiedIdentity

/** Remembers whom a link token was issued for, by its digest. */
export async function keepInvitation(
  store: Ephemeral,
  linkToken: string,
  identity: InvitedIdentity,
): Promise<void> {
  await store.set(invitationKey(linkToken), JSON.stringify(identity), ttlSeconds)
}

/** Looks without taking: a link may be opened twice, or by what previews it. LINE lets its token be used once. */
export async function findInvitation(
  store: Ephemeral,
  connectionId: string,
  linkToken: string,
): Promise<InvitedIdentity | undefined> {
  const stored = await store.get(invitationKey(linkToken))
  const identity: InvitedIdentity | undefined = stored === undefined ? undefined : JSON.parse(stored)
  return identity?.connectionId === connectionId ? identity : undefined
}

const invitationKey = (linkToken: string) => `line-invitation:${digest(linkToken)}`
