import { recordEvents } from '../events/outbox.ts'
import { deleteMember } from '../members/deletion.ts'
import type { Tx } from '../store/db.ts'
import { discardTokens } from './tokens/token-vault.ts'

/**
 * Deletes a member with their links: what was linked is known as former, the upstreams are told, and anybody may link it.
 * False unless the member was active or suspended.
 */
export async function deleteMemberAndLinks(tx: Tx, memberId: string, now: Date): Promise<boolean> {
  if (!(await deleteMember(tx, memberId, now))) return false
  const identities = await tx.federatedIdentity.findMany({ where: { memberId }, orderBy: { id: 'asc' } })
  for (const { id } of identities) await discardTokens(tx, id, now)
  await tx.formerIdentity.createMany({
    data: identities.map(({ id, connectionId, issuer, subject, linkedAt }) => ({
      ...{ id, memberId, connectionId, issuer, subject, linkedAt },
      ...{ unlinkedAt: now, coolOffUntil: now },
    })),
  })
  await tx.federatedIdentity.deleteMany({ where: { memberId } })
  await tx.linkConsent.updateMany({ where: { memberId, endedAt: null }, data: { endedAt: now } })
  const events = identities.map(
    ({ id, connectionId }) =>
      ({ type: 'identity.unlinked', memberId, data: { connectionId, identityId: id } }) as const,
  )
  if (events.length > 0) await recordEvents(tx, events, now)
  return true
}
