import type { Tx } from '../../store/db.ts'
import { Prisma } from '../../store/generated/client.ts'
import { type Counted, eventOf, type Grouping, type Step, slices, steps } from './steps.ts'

export interface CountedRange {
  connectionId: string
  /** Included. */
  from: Date
  /** Excluded. */
  to: Date
  by: Grouping
  /** Only what came by this client. */
  clientId?: string | undefined
}

/** How often each step was taken, by whatever it is grouped by. */
export async function countSteps(tx: Tx, range: CountedRange): Promise<Counted[]> {
  const counted: Counted[] = []
  for (const [from, to] of slices(range.from, range.to)) {
    counted.push(...(await countTaken(tx, { ...range, from, to })))
    counted.push(...(await countUnlinked(tx, { ...range, from, to })))
  }
  return counted
}

interface Row {
  key: string | null
  type: string
  count: number
}

const taken = steps.filter((step) => step !== 'unlinked').map((step) => eventOf[step])
const stepOf = new Map<string, Step>(steps.map((step) => [eventOf[step], step]))

async function countTaken(tx: Tx, range: CountedRange): Promise<Counted[]> {
  const { connectionId, from, to, by, clientId } = range
  const rows = await tx.$queryRaw<Row[]>`
    SELECT ${keyOf(by, Prisma.raw('e'))} AS "key", e."type",
      sum(CASE WHEN e."type" = 'link.prompted' THEN coalesce((e."data"->>'shown')::int, 1) ELSE 1 END)::int AS "count"
    FROM "Event" e
    WHERE e."type" = ANY(${[...taken]}) AND e."occurredAt" >= ${from} AND e."occurredAt" < ${to}
      AND e."data"->>'connectionId' = ${connectionId} ${onlyOf(clientId, Prisma.raw('e'))}
    GROUP BY 1, 2`
  return rows.flatMap(toCounted)
}

/** What ended is counted for the way it once came: that of the member's link with the same id. */
async function countUnlinked(tx: Tx, range: CountedRange): Promise<Counted[]> {
  const { connectionId, from, to, by, clientId } = range
  const rows = await tx.$queryRaw<Row[]>`
    SELECT ${by === 'day' ? keyOf(by, Prisma.raw('u')) : keyOf(by, Prisma.raw('l'))} AS "key",
      'identity.unlinked' AS "type", count(*)::int AS "count"
    FROM "Event" u LEFT JOIN LATERAL (
      SELECT x."data" FROM "Event" x
      WHERE x."memberId" = u."memberId" AND x."type" = 'identity.linked' AND x."position" < u."position"
        AND x."data"->>'identityId' = u."data"->>'identityId'
      ORDER BY x."position" DESC LIMIT 1) l ON true
    WHERE u."type" = 'identity.unlinked' AND u."occurredAt" >= ${from} AND u."occurredAt" < ${to}
      AND u."data"->>'connectionId' = ${connectionId} ${onlyOf(clientId, Prisma.raw('l'))}
    GROUP BY 1`
  return rows.flatMap(toCounted)
}

function keyOf(by: Grouping, table: Prisma.Sql): Prisma.Sql {
  switch (by) {
    case 'day':
      return Prisma.sql`to_char(${table}."occurredAt" AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD')`
    case 'client':
      return Prisma.sql`${table}."data"->>'clientId'`
    case 'campaign':
      return Prisma.sql`${table}."data"->>'campaignId'`
    case 'way':
      return Prisma.sql`${table}."data"->>'way'`
  }
}

const onlyOf = (clientId: string | undefined, table: Prisma.Sql) =>
  clientId === undefined ? Prisma.empty : Prisma.sql`AND ${table}."data"->>'clientId' = ${clientId}`

function toCounted({ key, type, count }: Row): Counted[] {
  const step = stepOf.get(type)
  return step ? [{ key: key ?? '', step, count }] : []
}
