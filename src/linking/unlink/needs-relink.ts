import { recordEvent } from '../../events/outbox.ts'
import type { Tx } from '../../store/db.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { type LinkTrail, trailOf } from '../way.ts'

/** Why an upstream no longer stands behind a link; told in events and, in words, on the account page. */
export type RelinkReason =
  | 'tokens_revoked'
  | 'tokens_expired'
  | 'consent_revoked'
  | 'account_disabled'
  | 'account_purged'
  | 'ended_upstream'

/**
 * Marks a link that its upstream no longer stands behind: tokens are handed out no more, and it does not count as a way
 * to sign in, until the member links or signs in through it again, which is a new word of the upstream. The link itself
 * stays the member's. False when it was marked already, or is no more.
 */
export async function markNeedsRelink(
  tx: Tx,
  identityId: string,
  reason: RelinkReason,
  now: Date,
): Promise<boolean> {
  const [marked] = await tx.federatedIdentity.updateManyAndReturn({
    where: { id: identityId, needsRelinkSince: null },
    data: { needsRelinkSince: now, needsRelinkReason: reason },
    select: { memberId: true, connectionId: true },
  })
  if (!marked) return false
  const { memberId, connectionId } = marked
  const data = { connectionId, identityId, reason }
  await recordEvent(tx, { type: 'identity.relink_required', memberId, data }, now)
  return true
}

/** The upstream stands behind it again: its holder has just come from there. Nothing where it never ceased to. */
export async function mendLink(
  tx: Tx,
  { id: identityId, memberId, issuer, subject }: FederatedIdentity,
  trail: LinkTrail,
  now: Date,
): Promise<void> {
  const { count } = await tx.federatedIdentity.updateMany({
    where: { id: identityId, needsRelinkSince: { not: null } },
    data: { needsRelinkSince: null, needsRelinkReason: null },
  })
  if (count === 0) return
  const consent = await tx.linkConsent.findFirst({
    where: { memberId, issuer, subject, endedAt: null },
    orderBy: { agreedAt: 'desc' },
  })
  const data = { ...trailOf(trail), identityId, ...(consent && { consentId: consent.id }) }
  await recordEvent(tx, { type: 'identity.relinked', memberId, data }, now)
}
