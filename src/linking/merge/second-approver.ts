import { recordEvent } from '../../events/outbox.ts'
import { lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import type { Tx } from '../../store/db.ts'
import type { Merge } from '../../store/generated/client.ts'
import { undoMerge } from './undo.ts'
import { gatherUndoFacts } from './undo-facts.ts'
import { planUndo, type UndoPlan } from './undo-plan.ts'

/** Hours. A request that nobody has approved by then counts for nothing. */
export const approvalHours = 24

/** Whether an operator may do this now, from what is stored. */
export type ApprovalRefusal = 'not_requested' | 'same_operator' | 'requested_by_another'

export function decideApproval(merge: Merge, by: string, now: Date): ApprovalRefusal | undefined {
  if (!isWaiting(merge, now)) return 'not_requested'
  return sameOperator(merge.undoRequestedBy ?? '', by) ? 'same_operator' : undefined
}

export function isWaiting({ undoRequestedAt, undoneAt }: Merge, now: Date): boolean {
  return (
    !undoneAt && !!undoRequestedAt && now.getTime() - undoRequestedAt.getTime() < approvalHours * 3_600_000
  )
}

/** However it is spelled: capitals, full-width letters or a space do not make a second person. */
const sameOperator = (a: string, b: string) => spelling(a) === spelling(b)
const spelling = (name: string) => name.normalize('NFKC').trim().toLowerCase()

/**
 * An operator asks for a merge to be undone; another one has to approve it within a day. Asked again by the same one it
 * waits anew. @throws Problem merge_undo_refused
 */
export async function requestUndo(
  tx: Tx,
  { mergeId, by, reason }: { mergeId: string; by: string; reason: string },
  now: Date,
): Promise<Merge> {
  const merge = await holdMerge(tx, mergeId)
  const plan = planUndo(await gatherUndoFacts(tx, mergeId), now)
  if (plan.action === 'refuse') throw new Problem('merge_undo_refused', { cause: plan.reason })
  if (isWaiting(merge, now) && !sameOperator(merge.undoRequestedBy ?? '', by))
    throw new Problem('merge_undo_refused', { cause: 'requested_by_another' satisfies ApprovalRefusal })
  const { survivorId: memberId } = merge
  await recordEvent(tx, { type: 'member.merge_undo_requested', memberId, data: { mergeId, by, reason } }, now)
  return tx.merge.update({ where: { id: mergeId }, data: { undoRequestedAt: now, undoRequestedBy: by } })
}

/** What another operator approves is done at once, and once. @throws Problem merge_undo_refused */
export async function approveUndo(
  tx: Tx,
  { mergeId, by }: { mergeId: string; by: string },
  now: Date,
): Promise<UndoPlan> {
  const merge = await holdMerge(tx, mergeId)
  const refusal = merge.undoneAt ? undefined : decideApproval(merge, by, now)
  if (refusal) throw new Problem('merge_undo_refused', { cause: refusal })
  return undoMerge(tx, merge, `${merge.undoRequestedBy}, ${by}`, now)
}

/** As it is once both members are held: who comes second sees what the first did. */
async function holdMerge(tx: Tx, mergeId: string): Promise<Merge> {
  const found = await tx.merge.findUnique({ where: { id: mergeId } })
  if (!found) throw new Problem('merge_undo_refused', { cause: 'not_found' })
  await lockMembers(tx, [found.survivorId, found.absorbedId])
  return tx.merge.findUniqueOrThrow({ where: { id: mergeId } })
}
