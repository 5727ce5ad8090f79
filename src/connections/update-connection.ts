import type { z } from 'zod'
import { recordEvent } from '../events/outbox.ts'
import type { Sealer } from '../security/seal.ts'
import type { Tx } from '../store/db.ts'
import { newConnection, openSecret, secretContext, toConnection } from './connection.ts'
import { hasUpstream } from './kinds.ts'
import { type SettingFault, settingFaults } from './setting-faults.ts'
import { type Connection, connectionSettings, said } from './settings.ts'

/** What may change of a connection: all but its id and its kind. Settings that are not given stay. */
export const connectionChange = newConnection.omit({ id: true, kind: true }).partial()
export type ConnectionChange = z.infer<typeof connectionChange>

export type UpdateOutcome =
  | { outcome: 'updated'; connection: Connection; changed: string[] }
  | { outcome: 'refused'; faults: SettingFault[] }
  | { outcome: 'unknown' }

/** Changes what is given, unless the whole would then not hold; the row is held meanwhile. */
export async function updateConnection(
  tx: Tx,
  sealer: Sealer,
  id: string,
  change: ConnectionChange,
  now: Date,
): Promise<UpdateOutcome> {
  await tx.$queryRaw`SELECT 1 FROM "Connection" WHERE "id" = ${id} FOR UPDATE`
  const row = await tx.connection.findUnique({ where: { id } })
  if (!row) return { outcome: 'unknown' }
  const current = toConnection(row)
  const next = merge(current, change)
  const faults = [
    ...settingFaults({ ...next, clientSecret: change.clientSecret ?? openSecret(sealer, current) }),
    ...changeFaults(current, next, {
      newSecret: change.clientSecret !== undefined,
      inUse: await isInUse(tx, current),
    }),
  ]
  if (faults.length > 0) return { outcome: 'refused', faults }
  const changed = changedFields(current, next, change)
  if (changed.length === 0) return { outcome: 'updated', connection: current, changed }
  const { name, issuer, clientId, allowSignIn, settings } = next
  const sealed = change.clientSecret && sealer.seal(change.clientSecret, secretContext(id))
  const data = { name, issuer, clientId, allowSignIn, settings, ...(sealed && { sealedSecret: sealed }) }
  const updated = await tx.connection.update({ where: { id }, data: { ...data, updatedAt: now } })
  await recordEvent(tx, { type: 'connection.updated', data: { connectionId: id, changed } }, now)
  return { outcome: 'updated', connection: toConnection(updated), changed }
}

type Changeable = Pick<Connection, 'kind' | 'name' | 'issuer' | 'clientId' | 'allowSignIn' | 'settings'>

function merge(
  current: Connection,
  { settings = {}, clientSecret: _, ...rest }: ConnectionChange,
): Changeable {
  const endpoints = { ...current.settings.endpoints, ...settings.endpoints }
  const merged = {
    ...current.settings,
    ...said(settings),
    ...(Object.keys(endpoints).length > 0 && { endpoints }),
  }
  return { ...current, ...said(rest), settings: connectionSettings.parse(merged) }
}

/**
 * What was typed in once is not sent somewhere else: a secret goes to the addresses, and is of the client, that it was
 * given with. And what (issuer, subject) names must stay what it was.
 */
export function changeFaults(
  current: Changeable,
  next: Changeable,
  { newSecret, inUse }: { newSecret: boolean; inUse: boolean },
): SettingFault[] {
  const moved = hasUpstream(current.kind) && addressesOf(current) !== addressesOf(next)
  const message = 'has to be given again, because an address or the client changes'
  return [
    ...((moved || current.clientId !== next.clientId) && !newSecret
      ? [{ path: 'clientSecret', message }]
      : []),
    ...(current.issuer !== next.issuer && inUse
      ? [{ path: 'issuer', message: 'names accounts that are linked; make another connection' }]
      : []),
  ]
}

/** Everywhere that the secret, or what it was given for, is sent. */
function addressesOf({ issuer, settings }: Pick<Connection, 'issuer' | 'settings'>): string {
  const { discovery = '', endpoints = {} } = settings
  const { authorization, token, userinfo, jwks, revocation } = endpoints
  return JSON.stringify([issuer, discovery, authorization, token, userinfo, jwks, revocation])
}

/** The names of what is different; a secret counts as different when one is given. */
function changedFields(current: Changeable, next: Changeable, { clientSecret }: ConnectionChange): string[] {
  const fields = ['name', 'issuer', 'clientId', 'allowSignIn', 'settings'] as const
  const differs = (field: (typeof fields)[number]) =>
    JSON.stringify(sorted(current[field])) !== JSON.stringify(sorted(next[field]))
  return [...fields.filter(differs), ...(clientSecret === undefined ? [] : ['clientSecret'])]
}

/** With its names in order: PostgreSQL keeps JSON in an order of its own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}

/** Whether an account has been linked through it, or was. */
async function isInUse(tx: Tx, { id: connectionId }: Connection): Promise<boolean> {
  const linked = await tx.federatedIdentity.count({ where: { connectionId } })
  return linked + (await tx.linkConsent.count({ where: { connectionId } })) > 0
}
