import { z } from 'zod'
import { recordEvent } from '../events/outbox.ts'
import { type Locale, localizedName } from '../http/i18n.ts'
import { Problem } from '../problem.ts'
import type { Sealer } from '../security/seal.ts'
import type { Db, Tx } from '../store/db.ts'
import type { Connection as ConnectionRow } from '../store/generated/client.ts'
import { hasUpstream, kindOf } from './kinds.ts'
import { settingFaults } from './setting-faults.ts'
import {
  type Connection,
  connectionSettings,
  givenSettings,
  kinds,
  said,
  storedSettings,
} from './settings.ts'

const upstreamIssuer = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[?#]/.test(text), 'an issuer has no query or fragment')

export const newConnection = z.object({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]{1,30}$/, 'lower-case letters, digits and hyphens, 2 to 31 characters'),
  kind: z.enum(kinds),
  name: localizedName,
  issuer: upstreamIssuer,
  clientId: z.string().min(1).max(200),
  clientSecret: z.string().min(8, 'at least 8 characters').max(1000),
  /** False for one that links and never signs in. */
  allowSignIn: z.boolean().optional(),
  settings: givenSettings,
})
export type NewConnection = z.infer<typeof newConnection>

/**
 * Stores a connection with the settings of its kind and the given ones on top. Nobody links or signs in through it
 * until it is enabled. Rejects with a unique violation when the id is taken, and when the settings are not the kind's.
 */
export async function createConnection(
  tx: Tx,
  sealer: Sealer,
  input: NewConnection,
  now: Date,
): Promise<Connection> {
  const { clientSecret, settings, allowSignIn = true, ...rest } = input
  const [fault] = settingFaults(input)
  if (fault) throw new RangeError(`${fault.path}: ${fault.message}`)
  const row = await tx.connection.create({
    data: {
      ...rest,
      // A relying party's word links; it never signs in.
      allowSignIn: allowSignIn && hasUpstream(input.kind),
      sealedSecret: sealer.seal(clientSecret, secretContext(input.id)),
      settings: connectionSettings.parse({ ...kindOf(input.kind).settings, ...said(settings) }),
      createdAt: now,
      updatedAt: now,
      disabledAt: now,
    },
  })
  await recordEvent(tx, { type: 'connection.created', data: { connectionId: row.id } }, now)
  return toConnection(row)
}

/** Made, and never enabled so far. */
export function isDraft({ createdAt, disabledAt }: Pick<Connection, 'createdAt' | 'disabledAt'>): boolean {
  return disabledAt?.getTime() === createdAt.getTime()
}

/** From now on nobody links or signs in through it; what is linked stays linked. */
export async function disableConnection(tx: Tx, id: string, now: Date): Promise<boolean> {
  const { count } = await tx.connection.updateMany({
    where: { id, disabledAt: null },
    data: { disabledAt: now, updatedAt: now },
  })
  if (count > 0) await recordEvent(tx, { type: 'connection.disabled', data: { connectionId: id } }, now)
  return count > 0
}

/** Undoes `disableConnection`; sessions that were ended stay ended. False when it was not disabled. */
export async function enableConnection(tx: Tx, id: string, now: Date): Promise<boolean> {
  const { count } = await tx.connection.updateMany({
    where: { id, disabledAt: { not: null } },
    data: { disabledAt: null, updatedAt: now },
  })
  if (count > 0) await recordEvent(tx, { type: 'connection.enabled', data: { connectionId: id } }, now)
  return count > 0
}

/**
 * Keeps the connection usable until the transaction ends, so that whoever disables it sees what the transaction wrote.
 * @throws Problem connection_unavailable
 */
export async function holdUsableConnection(tx: Tx, id: string): Promise<void> {
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM "Connection" WHERE "id" = ${id} AND "disabledAt" IS NULL FOR SHARE`
  if (held.length === 0) throw new Problem('connection_unavailable')
}

/** A connection that may be used now. @throws Problem connection_unavailable */
export async function getUsableConnection(tx: Tx, id: string): Promise<Connection> {
  const row = await tx.connection.findUnique({ where: { id } })
  if (!row || row.disabledAt) throw new Problem('connection_unavailable')
  return toConnection(row)
}

export async function findConnection(tx: Tx, id: string): Promise<Connection | undefined> {
  const row = await tx.connection.findUnique({ where: { id } })
  return row ? toConnection(row) : undefined
}

/** In the order they were made; disabled ones only when asked for. */
export async function listConnections(
  db: Db | Tx,
  { withDisabled }: { withDisabled: boolean },
): Promise<Connection[]> {
  const rows = await db.connection.findMany({
    where: withDisabled ? {} : { disabledAt: null },
    orderBy: { createdAt: 'asc' },
  })
  return rows.map(toConnection)
}

/** What a page shows of a connection. */
export function presentConnection(
  { id, kind, name, allowSignIn }: Connection,
  locale: Locale,
): { id: string; kind: string; name: string; allowSignIn: boolean } {
  return { id, kind, name: name[locale], allowSignIn }
}

export function openSecret(sealer: Sealer, { id, sealedSecret }: Connection): string {
  return sealer.open(sealedSecret, secretContext(id))
}

export const secretContext = (id: string) => `connection secret ${id}`

export function toConnection(row: ConnectionRow): Connection {
  return {
    ...row,
    kind: z.enum(kinds).parse(row.kind),
    name: localizedName.parse(row.name),
    settings: storedSettings.parse(row.settings),
  }
}
