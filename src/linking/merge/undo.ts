import { recordEvent, recordEvents } from '../../events/outbox.ts'
import { endSessionsOf, lockMembers } from '../../members/member.ts'
import { revokeGrants } from '../../oidc/grant.ts'
import { findKnowers, type Knower, namesIn, readLineage } from '../../oidc/lineage.ts'
import { Problem } from '../../problem.ts'
import type { Tx } from '../../store/db.ts'
import type { Merge } from '../../store/generated/client.ts'
import { writeRows } from './row-change.ts'
import { gatherUndoFacts } from './undo-facts.ts'
import { planUndo, type UndoPlan } from './undo-plan.ts'

/**
 * Makes two of one again, row by row from the journal, with both members held as a merge holds them. Both sign in anew:
 * nobody knows which of the two a session is of.
 * @param by `member`, or the operators' names
 * @throws Problem merge_undo_refused
 */
export async function undoMerge(tx: Tx, merge: Merge, by: string, now: Date): Promise<UndoPlan> {
  const { id: mergeId, survivorId, absorbedId } = merge
  await lockMembers(tx, [survivorId, absorbedId])
  const plan = planUndo(await gatherUndoFacts(tx, mergeId), now)
  if (plan.action === 'refuse') throw new Problem('merge_undo_refused', { cause: plan.reason })

  const before = await knowersOf(tx, merge)
  await tx.merge.update({ where: { id: mergeId }, data: { undoneAt: now, undoneBy: by } })
  await writeRows(tx, plan.writes)
  const after = await knowersOf(tx, merge)
  await takeBackServices(tx, merge, plan, renamed(before, after), now)
  await endSessionsOf(tx, [survivorId, absorbedId], { reason: 'restored' }, now)
  await tellUndo(tx, merge, after, by, now)
  return plan
}

interface Named {
  clientId: string
  /** What the client calls each of the two; undefined: it knows nothing of them. */
  survivor: ReturnType<typeof namesIn> | undefined
  absorbed: ReturnType<typeof namesIn> | undefined
}

async function knowersOf(tx: Tx, { survivorId, absorbedId }: Merge): Promise<Named[]> {
  const lineages = {
    survivor: await readLineage(tx, survivorId),
    absorbed: await readLineage(tx, absorbedId),
  }
  const knowers = await findKnowers(tx, [...lineages.survivor, ...lineages.absorbed])
  const namesOf = ({ known }: Knower, side: keyof typeof lineages) =>
    lineages[side].some((id) => known.includes(id)) ? namesIn(lineages[side], known) : undefined
  return knowers.map((knower) => ({
    clientId: knower.clientId,
    survivor: namesOf(knower, 'survivor'),
    absorbed: namesOf(knower, 'absorbed'),
  }))
}

/** Clients that called the survivor by a name that is the absorbed member's again. */
function renamed(before: readonly Named[], after: readonly Named[]): string[] {
  const then = new Map(after.map((one) => [one.clientId, one.survivor?.current]))
  return before
    .filter(({ clientId, survivor }) => survivor && survivor.current !== then.get(clientId))
    .map(({ clientId }) => clientId)
}

/**
 * What went on with the survivor ends: the survivor is asked anew. What was taken back meanwhile stays taken back. A
 * session that began under a name of the absorbed member ends under that name.
 */
async function takeBackServices(
  tx: Tx,
  { survivorId, absorbedId }: Merge,
  { services: { continued, revoked } }: UndoPlan,
  renamedAt: readonly string[],
  now: Date,
): Promise<void> {
  for (const clientId of new Set([...continued, ...renamedAt]))
    await revokeGrants(tx, { memberId: survivorId, clientId }, now)
  for (const clientId of revoked) await revokeGrants(tx, { memberId: absorbedId, clientId }, now)
  await tx.clientSession.updateMany({
    where: { memberId: survivorId, clientId: { in: [...renamedAt] } },
    data: { memberId: absorbedId },
  })
}

async function tellUndo(
  tx: Tx,
  { id: mergeId, survivorId, absorbedId }: Merge,
  knowers: readonly Named[],
  by: string,
  now: Date,
): Promise<void> {
  const common = { mergeId, by }
  await recordEvent(
    tx,
    { type: 'member.merge_undone', memberId: survivorId, data: { ...common, absorbedId } },
    now,
  )
  await recordEvent(
    tx,
    { type: 'member.restored', memberId: absorbedId, data: { ...common, survivorId } },
    now,
  )
  const told = knowers.flatMap(({ clientId, survivor, absorbed }) =>
    [
      { memberId: survivorId, names: survivor },
      { memberId: absorbedId, names: absorbed },
    ].flatMap(({ memberId, names }) =>
      names
        ? [
            {
              type: 'subject.resolved' as const,
              memberId,
              data: { clientId, mergeId, subjectId: names.current, previousIds: names.previous },
            },
          ]
        : [],
    ),
  )
  if (told.length > 0) await recordEvents(tx, told, now)
}
