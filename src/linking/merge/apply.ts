import { recordEvent, recordEvents } from '../../events/outbox.ts'
import { endSessionsOf, lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import type { Random } from '../../security/random.ts'
import type { Tx } from '../../store/db.ts'
import type { Merge, Prisma } from '../../store/generated/client.ts'
import { gatherMergeFacts, type MergeFacts, type MergePair } from './facts.ts'
import { type MergePlan, planMerge } from './plan.ts'
import { type RowChange, writeRows } from './row-change.ts'

export interface MergeRequest extends MergePair {
  /** `member`, or the operator's name. */
  decidedBy: string
  reason?: string | undefined
  /** For how long it can be undone (`MERGE_UNDO_DAYS`). */
  undoDays: number
  random: Random
}

/**
 * Makes one member of two. The plan is made again here, with both held in the order of their ids, so that merges, links,
 * unlinks and deletions that come at once wait for each other and none of them is lost. What was given to the absorbed
 * member, be it a session or a token, opens nothing of the survivor's: it ends.
 * @throws Problem merge_refused
 */
export async function applyMerge(tx: Tx, request: MergeRequest, now: Date): Promise<Merge> {
  const { survivorId, absorbedId, decidedBy, reason, undoDays, random } = request
  await lockMembers(tx, [survivorId, absorbedId])
  const facts = await gatherMergeFacts(tx, request, now)
  const plan = planMerge(facts)
  if (plan.action === 'refuse') throw new Problem('merge_refused', { cause: plan.reason })

  const merge = await tx.merge.create({
    data: {
      ...{ survivorId, absorbedId, decidedBy, reason: reason ?? null },
      mergedAt: now,
      undoUntil: new Date(now.getTime() + undoDays * 86_400_000),
    },
  })
  await carryOut(tx, plan.changes)
  const grants = await continueGrants(tx, facts, plan, { random, now })
  await writeJournal(tx, merge.id, [...plan.changes, ...grants])
  await endSessionsOf(tx, [absorbedId], { reason: 'absorbed' }, now)
  await tellMerge(tx, merge, plan, now)
  return merge
}

async function carryOut(tx: Tx, changes: readonly RowChange[]): Promise<void> {
  const writes = changes.map(({ table, key, after }) => ({ table, key, set: after }))
  const count = await writeRows(tx, writes)
  // Whatever writes these rows holds their member, so this is somebody who does not.
  if (count !== writes.length)
    throw new Error('a row of a merge was written by somebody who did not hold its member')
}

/**
 * What the absorbed member had allowed services, the survivor has allowed from here on, under a grant of its own: tokens
 * of the old one end with the absorbed member's sessions, and nobody is asked again.
 */
async function continueGrants(
  tx: Tx,
  { survivor, absorbed }: MergeFacts,
  { comes: { services } }: MergePlan,
  { random, now }: { random: Random; now: Date },
): Promise<RowChange[]> {
  if (!survivor || !absorbed) return []
  const rows = services.flatMap((clientId) => {
    // The newest: the one that counts.
    const grant = absorbed.grants.find((one) => one.clientId === clientId)
    const id = random.token(32)
    const payload = { ...(grant?.payload as Prisma.JsonObject), accountId: survivor.id, jti: id }
    return grant
      ? [{ id, clientId, memberId: survivor.id, payload, createdAt: now, expiresAt: grant.expiresAt }]
      : []
  })
  await tx.grant.createMany({ data: rows })
  return rows.map(({ id, clientId, memberId }) => {
    return { table: 'Grant', key: { id }, before: null, after: { memberId, clientId } }
  })
}

async function writeJournal(tx: Tx, mergeId: string, changes: readonly RowChange[]): Promise<void> {
  await tx.mergeJournal.createMany({
    data: changes.map(({ before, after, ...change }, index) => ({
      ...{ ...change, mergeId, position: index + 1, after: after as Prisma.JsonObject },
      ...(before && { before: before as Prisma.JsonObject }),
    })),
  })
}

/** Both members and every relying party that knew either: each is told, once, by an event of its own. */
async function tellMerge(tx: Tx, merge: Merge, { parties }: MergePlan, now: Date): Promise<void> {
  const { id: mergeId, survivorId, absorbedId, decidedBy: by } = merge
  await recordEvent(
    tx,
    { type: 'member.merged', memberId: survivorId, data: { mergeId, absorbedId, by } },
    now,
  )
  await recordEvent(
    tx,
    { type: 'member.absorbed', memberId: absorbedId, data: { mergeId, survivorId, by } },
    now,
  )
  const told = parties.map(({ clientId, current: subjectId, previous: previousIds }) => {
    const data = { clientId, mergeId, subjectId, previousIds }
    return { type: 'subject.resolved', memberId: survivorId, data } as const
  })
  if (told.length > 0) await recordEvents(tx, told, now)
}
