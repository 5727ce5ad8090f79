import { recordEvent } from '../events/outbox.ts'
import type { Tx } from '../store/db.ts'
import { endSessions } from './member.ts'

/**
 * From now on the member is as if not there: no session, token or sign-in of theirs counts. What is theirs stays, and
 * sessions stay ended after a reactivation. `reason` is one word for the audit trail. False unless the member was active.
 */
export async function suspendMember(
  tx: Tx,
  memberId: string,
  reason: string | undefined,
  now: Date,
): Promise<boolean> {
  const { count } = await tx.member.updateMany({
    where: { id: memberId, status: 'active' },
    data: { status: 'suspended', updatedAt: now },
  })
  if (count === 0) return false
  const data = { by: 'operator' as const, ...(reason && { reason }) }
  await recordEvent(tx, { type: 'member.suspended', memberId, data }, now)
  await endSessions(tx, memberId, 'suspended', now)
  return true
}

/** Lets a suspended member sign in again. False for anybody else: who was deleted or absorbed does not come back like this. */
export async function reactivateMember(tx: Tx, memberId: string, now: Date): Promise<boolean> {
  const { count } = await tx.member.updateMany({
    where: { id: memberId, status: 'suspended' },
    data: { status: 'active', updatedAt: now },
  })
  if (count === 0) return false
  await recordEvent(tx, { type: 'member.reactivated', memberId, data: { by: 'operator' } }, now)
  return true
}
