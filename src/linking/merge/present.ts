import { type Locale, localizedName } from '../../http/i18n.ts'
import type { Db, Tx } from '../../store/db.ts'
import type { Merge } from '../../store/generated/client.ts'
import { displayNameOf } from '../identity.ts'
import type { TouchedTable } from './row-change.ts'
import type { UndoPlan } from './undo-plan.ts'

/** What came with a merge, or goes back with its undoing, as pages say it. */
export interface Belongings {
  emails: string[]
  accounts: { connection: string; displayName: string | undefined }[]
  password: boolean
  services: string[]
}

export interface PresentedMerge {
  id: string
  mergedAt: Date
  undoUntil: Date
  state: 'undoable' | 'final' | 'undone'
  undoneAt: Date | undefined
  came: Belongings
}

/** What was merged into this member, the latest first. */
export async function listMerges(
  db: Db,
  memberId: string,
  locale: Locale,
  now: Date,
): Promise<PresentedMerge[]> {
  const merges = await db.merge.findMany({
    where: { survivorId: memberId },
    include: { journal: { orderBy: { position: 'asc' } } },
    orderBy: { mergedAt: 'desc' },
  })
  return Promise.all(
    merges.map(async ({ journal, id, mergedAt, undoUntil, undoneAt }) => {
      const rows = journal.map(({ table, key, after }) => ({ table, key: wordsOf(key), set: wordsOf(after) }))
      return {
        ...{ id, mergedAt, undoUntil },
        state: undoneAt ? ('undone' as const) : undoUntil > now ? ('undoable' as const) : ('final' as const),
        undoneAt: undoneAt ?? undefined,
        came: await belongings(db, rows, locale),
      }
    }),
  )
}

/** What goes back, and how much stays because it was changed since. */
export async function presentUndo(
  db: Db,
  { absorbedId }: Merge,
  { writes, kept, services }: UndoPlan,
  locale: Locale,
): Promise<Belongings & { password: boolean; kept: number }> {
  const own = await db.passwordCredential.count({ where: { memberId: absorbedId } })
  const back = await belongings(db, writes, locale)
  const names = await serviceNames(db, services.continued, locale)
  return { ...back, password: back.password || own > 0, services: names, kept: kept.length }
}

interface Touched {
  table: string
  key: Record<string, unknown>
  set: Record<string, unknown>
}

async function belongings(tx: Tx, rows: readonly Touched[], locale: Locale): Promise<Belongings> {
  const idsOf = (table: TouchedTable) =>
    rows.filter((row) => row.table === table).map(({ key }) => String(key.id))
  const emails = await tx.contactPoint.findMany({ where: { id: { in: idsOf('ContactPoint') } } })
  const identities = await tx.federatedIdentity.findMany({
    where: { id: { in: idsOf('FederatedIdentity') } },
    include: { connection: { select: { name: true } } },
    orderBy: { linkedAt: 'asc' },
  })
  const clientIds = rows.filter(({ table }) => table === 'Grant').map(({ set }) => String(set.clientId))
  return {
    emails: emails.map(({ value }) => value),
    accounts: identities.map(({ connection, profile }) => ({
      connection: localizedName.parse(connection.name)[locale],
      displayName: displayNameOf(profile),
    })),
    password: rows.some(({ table }) => table === 'PasswordCredential'),
    services: await serviceNames(tx, clientIds, locale),
  }
}

async function serviceNames(tx: Tx, ids: readonly string[], locale: Locale): Promise<string[]> {
  const clients = await tx.client.findMany({
    where: { id: { in: [...ids] } },
    orderBy: { createdAt: 'asc' },
  })
  return clients.map(({ name }) => localizedName.parse(name)[locale])
}

const wordsOf = (json: unknown): Record<string, unknown> =>
  json && typeof json === 'object' ? { ...json } : {}
