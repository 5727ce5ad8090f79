import type { Tx } from '../../store/db.ts'
import { Prisma } from '../../store/generated/client.ts'

/** The tables whose rows a merge may touch, and what a row of them is known by. */
export const touchedTables = {
  Member: ['id'],
  ContactPoint: ['id'],
  PasswordCredential: ['memberId'],
  FederatedIdentity: ['id'],
  FormerIdentity: ['id'],
  LinkConsent: ['id'],
  LinkConflict: ['id'],
  Reward: ['id'],
  LinkPrompt: ['memberId', 'connectionId'],
  Grant: ['id'],
} as const
export type TouchedTable = keyof typeof touchedTables

/** JSON, as it is journaled: ids and moments as text. */
export type Values = Record<string, unknown>

/** One row before and after, with the columns that change alone; `before: null` is a row that comes to be. */
export interface RowChange {
  table: TouchedTable
  key: Record<string, string>
  before: Values | null
  after: Values
}

export interface RowWrite {
  table: TouchedTable
  key: Record<string, string>
  set: Values
}

/** Where a changed row is found now: what it is known by may itself have changed. */
export function keyAfter({ table, key, after }: RowChange): Record<string, string> {
  return Object.fromEntries(touchedTables[table].map((name) => [name, String(after[name] ?? key[name])]))
}

/** Writes `set` over the row with this key, as many rows in one statement as can be. How many rows there were. */
export async function writeRows(tx: Tx, writes: readonly RowWrite[]): Promise<number> {
  const alike = Map.groupBy(writes, ({ table, set }) => [table, ...Object.keys(set)].join(' '))
  let count = 0
  for (const group of alike.values()) {
    const [first] = group
    if (!first) continue
    const table = identifier(first.table)
    const columns = Object.keys(first.set).map(identifier)
    const set = Prisma.join(columns.map((name) => Prisma.sql`${name} = n.${name}`))
    const rows = JSON.stringify(group.map(({ key, set: values }) => ({ key, set: values })))
    count += await tx.$executeRaw`
      UPDATE ${table} t SET ${set} FROM jsonb_array_elements(${rows}::jsonb) e,
        LATERAL jsonb_populate_record(NULL::${table}, e->'key') k,
        LATERAL jsonb_populate_record(NULL::${table}, e->'set') n
      WHERE ${sameKey(first.table)}`
  }
  return count
}

/** The rows with these keys as they are now, in JSON; undefined for those that are gone. */
export async function readRows(
  tx: Tx,
  table: TouchedTable,
  keys: readonly Record<string, string>[],
): Promise<(Values | undefined)[]> {
  const name = identifier(table)
  const rows = await tx.$queryRaw<{ position: number; row: Values }[]>`
    SELECT e."position"::int AS "position", to_jsonb(t) AS "row"
    FROM jsonb_array_elements(${JSON.stringify(keys)}::jsonb) WITH ORDINALITY AS e("key", "position")
    CROSS JOIN LATERAL jsonb_populate_record(NULL::${name}, e."key") k JOIN ${name} t ON ${sameKey(table)}`
  const found = new Map(rows.map(({ position, row }) => [position, row]))
  return keys.map((_, index) => found.get(index + 1))
}

/** Whether the row still has what was written to it. Moments are compared as such, however they are spelled. */
export function isUnchanged(row: Values, written: Values): boolean {
  return Object.entries(written).every(([name, value]) => same(row[name], value, name.endsWith('At')))
}

function same(a: unknown, b: unknown, isMoment: boolean): boolean {
  if (isMoment && typeof a === 'string' && typeof b === 'string') return Date.parse(a) === Date.parse(b)
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null)
}

function sameKey(table: TouchedTable): Prisma.Sql {
  const names = touchedTables[table].map(identifier)
  return Prisma.join(
    names.map((name) => Prisma.sql`t.${name} = k.${name}`),
    ' AND ',
  )
}

/** Only of names that stand in this code or come from a journal we wrote; what is none is refused. */
function identifier(name: string): Prisma.Sql {
  if (!/^\w+$/.test(name)) throw new RangeError('not the name of a table or column')
  return Prisma.raw(`"${name}"`)
}
