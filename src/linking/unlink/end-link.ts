import { recordEvent } from '../../events/outbox.ts'
import { primaryEmail } from '../../members/contact-point.ts'
import type { Sealer } from '../../security/seal.ts'
import type { Tx } from '../../store/db.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { discardTokens } from '../tokens/token-vault.ts'

/** Whose doing it is that a link ends. After `identifier_recycled` the account is somebody else's at the upstream. */
export type UnlinkReason =
  | 'member'
  | 'management'
  | 'member_deleted'
  | 'account_purged'
  | 'identifier_recycled'

export interface UnlinkPolicy {
  sealer: Sealer
  /** How long nobody but the member may link an account that was unlinked. */
  coolOffDays: number
}

/**
 * Ends a link, whoever wants it to; hold the member first and ask `isLastSignInMethod` where it counts. The identity and
 * its tokens' use end at once; evidence of the agreement stays, ended; upstream and member are told by event. The address
 * the member has at this moment is kept, sealed, until that mail has gone there.
 */
export async function endLink(
  tx: Tx,
  { sealer, coolOffDays }: UnlinkPolicy,
  identity: FederatedIdentity,
  reason: UnlinkReason,
  now: Date,
): Promise<void> {
  const { id: identityId, memberId, connectionId, issuer, subject, linkedAt } = identity
  await discardTokens(tx, identityId, now)
  await tx.federatedIdentity.delete({ where: { id: identityId } })
  await tx.linkConsent.updateMany({
    where: { memberId, issuer, subject, endedAt: null },
    data: { endedAt: now },
  })
  const { id } = await tx.formerIdentity.create({
    data: {
      ...{ identityId, memberId, connectionId, issuer, subject, linkedAt, reason, unlinkedAt: now },
      // An account that is somebody else's by now is not kept for the member it was of.
      coolOffUntil:
        reason === 'identifier_recycled' ? now : new Date(now.getTime() + coolOffDays * 86_400_000),
    },
  })
  const address = await primaryEmail(tx, memberId)
  if (address) {
    const sealedAddress = sealer.seal(address, addressContext(id))
    await tx.formerIdentity.update({ where: { id }, data: { sealedAddress } })
  }
  const data = { connectionId, identityId, reason }
  await recordEvent(tx, { type: 'identity.unlinked', memberId, data }, now)
}

export const addressContext = (formerId: string) => `address before unlinking ${formerId}`

/** The end of a link that an event of it tells about. */
export interface EndOfLink {
  identityId: string
  unlinkedAt: Date
}

/** Where the member is to be told of the end of a link; undefined when there is no address, or they have been told. */
export async function addressBefore(tx: Tx, sealer: Sealer, end: EndOfLink): Promise<string | undefined> {
  const former = await tx.formerIdentity.findFirst({ where: { ...end, sealedAddress: { not: null } } })
  return former?.sealedAddress ? sealer.open(former.sealedAddress, addressContext(former.id)) : undefined
}

/** They have been told. */
export async function forgetAddress(tx: Tx, end: EndOfLink): Promise<void> {
  await tx.formerIdentity.updateMany({ where: { ...end }, data: { sealedAddress: null } })
}
