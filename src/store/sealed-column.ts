import type { Sealer } from '../security/seal.ts'

/** Where secrets are sealed at rest: all of one kind, each under the id of its row. */
export interface SealedColumn {
  /** What it holds, for people. */
  name: string
  count(): Promise<number>
  /** Rows that are not like `prefix` at their beginning, at most `limit` of them, from the one after `afterId` on, by id. */
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
  // Prisma hands `startsWith` to LIKE as it is, where an underscore stands for any character.
  const prefix = sealer.newestPrefix.replaceAll('_', '\\_')
  let afterId: string | undefined
  for (;;) {
    const batch = await column.findOthers(prefix, afterId, batchSize)
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
