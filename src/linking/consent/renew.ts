import { holdUsableConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import { lockMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import { type ConsentGiven, recordConsent } from '../link-consent.ts'
import { trailOf } from '../way.ts'

/**
 * Puts a new agreement in the place of one that no longer covers the link. The old one stays as evidence, ended.
 * @throws Problem link_not_found, account_unavailable, connection_unavailable
 */
export async function renewConsent(
  db: Db,
  replaced: { consentId: string; identityId: string },
  given: ConsentGiven,
  now: Date,
): Promise<void> {
  const { memberId, identity } = given
  await inTransaction(db, async (tx) => {
    await holdUsableConnection(tx, identity.connectionId)
    if ((await lockMember(tx, memberId))?.status !== 'active') throw new Problem('account_unavailable')
    // Of two that renew at once the first has ended it: the second renews what is there no more.
    const { count } = await tx.linkConsent.updateMany({
      where: { id: replaced.consentId, memberId, endedAt: null },
      data: { endedAt: now },
    })
    const linked = await tx.federatedIdentity.count({ where: { id: replaced.identityId, memberId } })
    if (count === 0 || linked === 0) throw new Problem('link_not_found')
    const consentId = await recordConsent(tx, given, now)
    const trail = trailOf({ ...given, connectionId: identity.connectionId })
    await recordEvent(tx, { type: 'link.consented', memberId, data: { ...trail, consentId } }, now)
    const data = { connectionId: identity.connectionId, identityId: replaced.identityId, consentId }
    await recordEvent(tx, { type: 'link.reconsented', memberId, data }, now)
  })
}
