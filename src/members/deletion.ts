import { recordEvent } from '../events/outbox.ts'
import type { Tx } from '../store/db.ts'
import { endSessions, lockMember } from './member.ts'

/**
 * Nobody acts as this member any more, and nobody will: sessions and tokens end, the password goes. The row stays, for its
 * id is never anybody else's. False unless the member was active or suspended.
 */
export async function deleteMember(tx: Tx, memberId: string, now: Date): Promise<boolean> {
  const held = await lockMember(tx, memberId)
  if (held?.status !== 'active' && held?.status !== 'suspended') return false
  await tx.member.update({ where: { id: memberId }, data: { status: 'deleted', updatedAt: now } })
  await tx.passwordCredential.deleteMany({ where: { memberId } })
  await recordEvent(tx, { type: 'member.deleted', memberId, data: { by: 'operator' } }, now)
  await endSessions(tx, memberId, 'deleted', now)
  return true
}
