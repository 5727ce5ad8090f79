import type { Sealer } from '../security/seal.ts'
import type { Db } from './db.ts'
import { Prisma } from './generated/client.ts'

/** Where secrets are sealed at rest: all of one kind, each under the id of its row. */
export interface SealedColumn {
  /** What it holds, for people. */
  name: string
  count(): Promise<number>
  /** Rows that do not begin with `prefix`, at most `limit` of them, from the one after `afterId` on, by id. */
  findOthers(prefix: string, afterId: string | undefined, limit: number): Promise<SealedValue[]>
  /** Puts `fresh` in the place of `sealed`, unless somebody changed it meanwhile; true when it did. */
  replace(value: SealedValue, fresh: string): Promise<boolean>
  /** What the value of this row was sealed for. */
  context(id: string): string
}

export interface SealedValue {
  id: string
  sealed: string
}

/** Names of tables and columns, which only code gives. */
export interface SealedPlace extends Pick<SealedColumn, 'name' | 'context'> {
  table: string
  /** What a row is known by, which is also what its value is sealed for. */
  key: string
  keyType: 'uuid' | 'text'
  /** Where nothing is sealed it may be null. */
  column: string
}

export function sealedColumn(db: Db, place: SealedPlace): SealedColumn {
  const { name, context, keyType } = place
  const [table, key, column] = [place.table, place.key, place.column].map((it) => Prisma.raw(`"${it}"`))
  const typed = (id: string) => Prisma.sql`${id}::${Prisma.raw(keyType)}`
  return {
    name,
    context,
    async count() {
      const [found] = await db.$queryRaw<[{ count: number }]>`
        SELECT count(${column})::int AS "count" FROM ${table}`
      return found.count
    },
    findOthers(prefix, afterId, limit) {
      const after = afterId === undefined ? Prisma.empty : Prisma.sql`AND ${key} > ${typed(afterId)}`
      return db.$queryRaw<SealedValue[]>`
        SELECT ${key}::text AS "id", ${column} AS "sealed" FROM ${table}
        WHERE NOT starts_with(${column}, ${prefix}) ${after} ORDER BY ${key} LIMIT ${limit}`
    },
    async replace({ id, sealed }, fresh) {
      const count = await db.$executeRaw`
        UPDATE ${table} SET ${column} = ${fresh} WHERE ${key} = ${typed(id)} AND ${column} = ${sealed}`
      return count > 0
    },
  }
}

export interface SealedState {
  total: number
  /** Sealed by an older key that is still configured. */
  stale: number
  /** Sealed by none of the configured keys, or altered: by id. */
  unreadable: string[]
}

const batchSize = 200

/** How much of a column still needs another than the newest key. */
export async function inspectSealed(column: SealedColumn, sealer: Sealer): Promise<SealedState> {
  const state: SealedState = { total: await column.count(), stale: 0, unreadable: [] }
  for await (const { id, sealed } of others(column, sealer)) {
    if (opened(column, sealer, { id, sealed }) === undefined) state.unreadable.push(id)
    else state.stale += 1
  }
  return state
}

/**
 * Seals again, with the newest key, what another sealed. Row by row and only where nothing has changed since it was read,
 * so it may be interrupted, repeated and run beside servers at any time. What no configured key opens is left as it is.
 * Resolves with the number of rows it changed.
 */
export async function resealColumn(column: SealedColumn, sealer: Sealer): Promise<number> {
  let changed = 0
  for await (const value of others(column, sealer)) {
    const text = opened(column, sealer, value)
    if (text === undefined) continue
    if (await column.replace(value, sealer.seal(text, column.context(value.id)))) changed += 1
  }
  return changed
}

async function* others(column: SealedColumn, sealer: Sealer): AsyncGenerator<SealedValue> {
  let afterId: string | undefined
  for (;;) {
    const batch = await column.findOthers(sealer.newestPrefix, afterId, batchSize)
    yield* batch
    afterId = batch.at(-1)?.id
    if (batch.length < batchSize) return
  }
}

function opened(column: SealedColumn, sealer: Sealer, { id, sealed }: SealedValue): string | undefined {
  try {
    return sealer.open(sealed, column.context(id))
  } catch {
    return undefined
  }
}
