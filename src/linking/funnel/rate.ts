import type { Tx } from '../../store/db.ts'
import { Prisma } from '../../store/generated/client.ts'
import { slices, startOfDay } from './steps.ts'

/** How many of how many are linked. */
export interface Share {
  linked: number
  members: number
}

export interface Shared {
  connectionId: string
  /** Only among the members this client has been given. */
  clientId?: string | undefined
}

/** Those there are: who was deleted or absorbed counts no more. */
const counts = Prisma.sql`m."status" IN ('active', 'suspended')`

/** The share of now. */
export async function currentShare(tx: Tx, { connectionId, clientId }: Shared): Promise<Share> {
  const [row] = await tx.$queryRaw<Share[]>`
    SELECT count(*)::int AS "members", count(f."memberId")::int AS "linked"
    FROM "Member" m LEFT JOIN (
      SELECT DISTINCT "memberId" FROM "FederatedIdentity" WHERE "connectionId" = ${connectionId}) f
      ON f."memberId" = m."id"
    WHERE ${counts} ${knownTo(clientId)}`
  return row ?? { linked: 0, members: 0 }
}

/** The share of now among each client's members. */
export async function sharesByClient(tx: Tx, connectionId: string): Promise<Map<string, Share>> {
  const rows = await tx.$queryRaw<(Share & { clientId: string })[]>`
    SELECT k."clientId", count(*)::int AS "members", count(f."memberId")::int AS "linked"
    FROM "KnownMember" k JOIN "Member" m ON m."id" = k."memberId" LEFT JOIN (
      SELECT DISTINCT "memberId" FROM "FederatedIdentity" WHERE "connectionId" = ${connectionId}) f
      ON f."memberId" = m."id"
    WHERE ${counts} GROUP BY 1`
  return new Map(rows.map(({ clientId, linked, members }) => [clientId, { linked, members }]))
}

/** The share at the end of each of these days, in their order: that of now less what came after. */
export async function sharesByDay(
  tx: Tx,
  shared: Shared,
  days: readonly string[],
  now: Date,
): Promise<Map<string, Share>> {
  const [first] = days
  if (first === undefined) return new Map()
  const from = startOfDay(first)
  const share = await currentShare(tx, shared)
  const came = sumByDay(await comings(tx, shared, from))
  const linked = sumByDay(await linkings(tx, shared, from, now))
  // From the last change on record back to the first day asked for.
  const all = [...new Set([...days, ...came.keys(), ...linked.keys()])].sort().reverse()
  const shares = new Map<string, Share>()
  for (const day of all) {
    shares.set(day, { ...share })
    share.members -= came.get(day) ?? 0
    share.linked -= linked.get(day) ?? 0
  }
  return new Map(days.flatMap((day) => [[day, shares.get(day) ?? share] as const]))
}

interface Change {
  day: string
  change: number
}

/** Members who came, or became known to the client, by day. */
function comings(tx: Tx, { clientId }: Shared, from: Date): Promise<Change[]> {
  return clientId === undefined
    ? tx.$queryRaw<Change[]>`
        SELECT ${dayIn(Prisma.sql`m."createdAt"`)} AS "day", count(*)::int AS "change" FROM "Member" m
        WHERE m."createdAt" >= ${from} AND ${counts} GROUP BY 1`
    : tx.$queryRaw<Change[]>`
        SELECT ${dayIn(Prisma.sql`k."firstAt"`)} AS "day", count(*)::int AS "change"
        FROM "KnownMember" k JOIN "Member" m ON m."id" = k."memberId"
        WHERE k."clientId" = ${clientId} AND k."firstAt" >= ${from} AND ${counts} GROUP BY 1`
}

const linkEvents = ['identity.linked', 'identity.unlinked']
const step = Prisma.sql`sum(CASE e."type" WHEN 'identity.linked' THEN 1 ELSE -1 END)::int`

/** Links that came less those that went, by day. For a client a link counts from when it knows the member. */
async function linkings(
  tx: Tx,
  { connectionId, clientId }: Shared,
  from: Date,
  now: Date,
): Promise<Change[]> {
  const changes: Change[] = []
  const until = new Date(now.getTime() + 1)
  const known = clientId === undefined ? Prisma.empty : joinKnown(clientId)
  const moment =
    clientId === undefined ? Prisma.sql`e."occurredAt"` : Prisma.sql`greatest(e."occurredAt", k."firstAt")`
  for (const [begin, end] of slices(from, until))
    changes.push(
      ...(await tx.$queryRaw<Change[]>`
        SELECT ${dayIn(moment)} AS "day", ${step} AS "change" FROM "Event" e ${known}
        WHERE e."type" = ANY(${linkEvents}) AND e."occurredAt" >= ${begin} AND e."occurredAt" < ${end}
          AND e."data"->>'connectionId' = ${connectionId} GROUP BY 1`),
    )
  if (clientId === undefined) return changes
  const earlier = await tx.$queryRaw<Change[]>`
    SELECT ${dayIn(Prisma.sql`k."firstAt"`)} AS "day", ${step} AS "change" FROM "Event" e ${known}
    WHERE k."firstAt" >= ${from} AND e."type" = ANY(${linkEvents}) AND e."occurredAt" < ${from}
      AND e."data"->>'connectionId' = ${connectionId} GROUP BY 1`
  return [...changes, ...earlier]
}

const joinKnown = (clientId: string) =>
  Prisma.sql`JOIN "KnownMember" k ON k."memberId" = e."memberId" AND k."clientId" = ${clientId}`

const knownTo = (clientId: string | undefined) =>
  clientId === undefined
    ? Prisma.empty
    : Prisma.sql`AND EXISTS (
        SELECT 1 FROM "KnownMember" k WHERE k."memberId" = m."id" AND k."clientId" = ${clientId})`

const dayIn = (moment: Prisma.Sql) => Prisma.sql`to_char(${moment} AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD')`

function sumByDay(changes: readonly Change[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { day, change } of changes) sums.set(day, (sums.get(day) ?? 0) + change)
  return sums
}
