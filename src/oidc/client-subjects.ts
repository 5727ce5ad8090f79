import type { Random } from '../security/random.ts'
import type { Db } from '../store/db.ts'
import { namesIn, readLineage } from './lineage.ts'
import type { Viewer } from './sector.ts'

/** The `sub` by which a client knows each of these members, those who have absorbed others included. */
export async function subjectsOf(
  { db, random, now }: { db: Db; random: Random; now: () => Date },
  viewer: Viewer,
  memberIds: readonly string[],
): Promise<Map<string, string>> {
  const named = await namedMembers(db, viewer, memberIds)
  const { sector } = viewer
  if (sector === undefined) return named
  const ids = [...new Set(named.values())]
  await db.pairwiseSubject.createMany({
    data: ids.map((memberId) => ({ sector, memberId, subject: random.token(16), createdAt: now() })),
    skipDuplicates: true,
  })
  const rows = await db.pairwiseSubject.findMany({ where: { sector, memberId: { in: ids } } })
  const subjects = new Map(rows.map(({ memberId, subject }) => [memberId, subject]))
  return new Map(
    [...named].flatMap(([id, name]) => (subjects.has(name) ? [[id, subjects.get(name) ?? '']] : [])),
  )
}

/** Whose member ID stands behind the client's name for each. Few have absorbed anybody: only those are looked into. */
async function namedMembers(
  db: Db,
  viewer: Viewer,
  memberIds: readonly string[],
): Promise<Map<string, string>> {
  const named = new Map(memberIds.map((id) => [id, id]))
  const merges = await db.merge.findMany({
    where: { survivorId: { in: [...named.keys()] }, undoneAt: null },
    select: { survivorId: true },
    distinct: ['survivorId'],
  })
  for (const { survivorId } of merges) {
    const lineage = await readLineage(db, survivorId)
    named.set(survivorId, namesIn(lineage, await knownIn(db, viewer, lineage)).current)
  }
  return named
}

async function knownIn(db: Db, { clientId, sector }: Viewer, lineage: readonly string[]): Promise<string[]> {
  const among = { memberId: { in: [...lineage] } }
  const rows =
    sector === undefined
      ? await db.knownMember.findMany({ where: { clientId, ...among } })
      : await db.pairwiseSubject.findMany({ where: { sector, ...among } })
  return rows.map(({ memberId }) => memberId)
}
