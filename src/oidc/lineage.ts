import type { Tx } from '../store/db.ts'
import { Prisma } from '../store/generated/client.ts'
import { sectorIn } from './sector.ts'

/**
 * What a client calls a member. No alias is stored: it follows from whom the client was ever told of, and from who
 * has absorbed whom. A merge that is undone is therefore undone here as well.
 */
export interface Names {
  /** The member ID behind the `sub` the client gets. */
  current: string
  /** Those behind the `sub`s it had for the same person before. */
  previous: string[]
}

/**
 * The survivor's own, when the client knows it; else the one it knows; to a client that knows none, the survivor's. What
 * a client does not know it is never told.
 */
export function namesIn(lineage: Lineage, known: readonly string[]): Names {
  const [current, ...previous] = lineage.filter((id) => known.includes(id))
  return { current: current ?? lineage[0], previous }
}

/** A member ID, then everybody they have absorbed: the earlier merge first, and each with those of their own. */
export type Lineage = [string, ...string[]]

/** The table expression `lineage`: whom the member has absorbed, to be read in the order of `path`. */
export const lineageOf = (memberId: string) => Prisma.sql`
  WITH RECURSIVE tree AS (
    SELECT ${memberId}::uuid AS "id", ARRAY[]::text[] AS "path"
    UNION ALL
    SELECT m."absorbedId", t."path" || (extract(epoch FROM m."mergedAt")::text || m."id"::text)
    FROM "Merge" m JOIN tree t ON m."survivorId" = t."id" WHERE m."undoneAt" IS NULL
  ), lineage AS (SELECT "id"::text, "path" FROM tree WHERE "path" <> '{}')`

export async function readLineage(tx: Tx, memberId: string): Promise<Lineage> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    ${lineageOf(memberId)} SELECT "id" FROM lineage ORDER BY "path"`
  return [memberId, ...rows.map(({ id }) => id)]
}

/** Who took the member over, at the end of the chain; the member itself when nobody did. */
export async function survivorOf(tx: Tx, memberId: string): Promise<string> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    WITH RECURSIVE chain AS (
      SELECT ${memberId}::uuid AS "id", 0 AS "depth"
      UNION ALL
      SELECT m."survivorId", c."depth" + 1
      FROM "Merge" m JOIN chain c ON m."absorbedId" = c."id" WHERE m."undoneAt" IS NULL)
    SELECT "id" FROM chain ORDER BY "depth" DESC LIMIT 1`
  return rows[0]?.id ?? memberId
}

/**
 * Writes down that a client is given the member's `sub`, for good. One that knows an absorbed member of theirs keeps that
 * name, and does not come to know another by it.
 */
export async function noteKnown(tx: Tx, clientId: string, memberId: string, now: Date): Promise<void> {
  const lineage = await readLineage(tx, memberId)
  const known = await tx.knownMember.count({ where: { clientId, memberId: { in: lineage } } })
  if (known > 0) return
  await tx.knownMember.createMany({ data: { clientId, memberId, firstAt: now }, skipDuplicates: true })
}

/** A client that knows somebody, and whom. */
export interface Knower {
  clientId: string
  name: unknown
  known: string[]
}

/** Every client that was ever told of one of these. Those of one sector know what any of them knows. */
export async function findKnowers(tx: Tx, memberIds: readonly string[]): Promise<Knower[]> {
  const rows = await tx.knownMember.findMany({
    where: { memberId: { in: [...memberIds] } },
  })
  const clients = await tx.client.findMany({
    where: { id: { in: rows.map(({ clientId }) => clientId) } },
    orderBy: { createdAt: 'asc' },
  })
  const subjects = await tx.pairwiseSubject.findMany({
    where: { memberId: { in: [...memberIds] } },
    select: { sector: true, memberId: true },
  })
  return clients.map(({ id: clientId, name, metadata }) => {
    const sector = sectorIn(metadata)
    const known =
      sector === undefined
        ? rows.filter((row) => row.clientId === clientId)
        : subjects.filter((subject) => subject.sector === sector)
    return { clientId, name, known: known.map(({ memberId }) => memberId) }
  })
}
