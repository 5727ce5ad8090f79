import type { Tx } from '../../store/db.ts'
import type { MergeJournal } from '../../store/generated/client.ts'
import { keyAfter, type RowChange, readRows, type TouchedTable, type Values } from './row-change.ts'
import type { UndoFacts } from './undo-plan.ts'

/** Collects what `planUndo` needs. */
export async function gatherUndoFacts(tx: Tx, mergeId: string): Promise<UndoFacts> {
  const merge = (await tx.merge.findUnique({ where: { id: mergeId } })) ?? undefined
  const changes = (await tx.mergeJournal.findMany({ where: { mergeId }, orderBy: { position: 'asc' } })).map(
    toChange,
  )
  const journal = await withRows(tx, changes)
  const survivorId = merge?.survivorId ?? mergeId
  const survivor = await tx.member.findUnique({ where: { id: survivorId }, select: { status: true } })
  const unlinked = journal
    .filter(({ change, row }) => change.table === 'FederatedIdentity' && !row)
    .flatMap(({ change }) => change.key.id ?? [])
  const former = await tx.formerIdentity.findMany({
    where: {
      identityId: { in: unlinked },
      memberId: survivorId,
      ...(merge && { unlinkedAt: { gte: merge.mergedAt } }),
    },
  })
  const hasPassword = async (memberId: string | undefined) =>
    memberId !== undefined && (await tx.passwordCredential.count({ where: { memberId } })) > 0
  const identities = await tx.federatedIdentity.findMany({
    where: {
      ...{ memberId: survivorId, needsRelinkSince: null },
      connection: { disabledAt: null, allowSignIn: true },
    },
    select: { id: true },
  })
  return {
    ...{ merge, journal, survivor: survivor?.status },
    formerIds: former.map(({ id }) => id),
    ways: {
      survivorPassword: await hasPassword(survivorId),
      absorbedPassword: await hasPassword(merge?.absorbedId),
      survivorEmails: await tx.contactPoint.count({ where: { memberId: survivorId, kind: 'email' } }),
      identityIds: identities.map(({ id }) => id),
    },
  }
}

async function withRows(tx: Tx, changes: readonly RowChange[]): Promise<UndoFacts['journal']> {
  const rows = new Map<RowChange, Values | undefined>()
  for (const [table, group] of Map.groupBy(changes, (change) => change.table)) {
    const found = await readRows(tx, table, group.map(keyAfter))
    group.forEach((change, index) => void rows.set(change, found[index]))
  }
  return changes.map((change) => ({ change, row: rows.get(change) }))
}

/** The journal is written through `applyMerge` alone, so a stored row has this shape. */
function toChange({ table, key, before, after }: MergeJournal): RowChange {
  return {
    table: table as TouchedTable,
    key: key as Record<string, string>,
    before: before as Values | null,
    after: after as Values,
  }
}
