import { type AdapterPayload, Provider } from 'oidc-provider'
import { findActiveMember } from '../members/member.ts'
import { type Cache, createCache } from '../store/cache.ts'
import type { Changes } from '../store/changes.ts'
import type { Db } from '../store/db.ts'
import type { Member, Resource } from '../store/generated/client.ts'
import { findClientMetadata } from './clients/client.ts'

/** Milliseconds. Whatever changes is seen by every process within that time, and at once by those that hear of it. */
const lifetimeMs = 500
const maxEntries = 10_000

/** A stored grant, as text: each reader gets an object of its own. */
export interface StoredGrant {
  text: string
  expiresAt: Date | null
}

/** What a process read a moment ago, for requests without a browser: those come by the thousand for the same few things. */
export interface Recent {
  clients: Cache<AdapterPayload | undefined>
  grants: Cache<StoredGrant | undefined>
  members: Cache<Member | undefined>
  resources: Cache<Resource | null>
}

export function rememberRecent(db: Db, changes: Changes, now: () => Date): Recent {
  const cache = <V>(load: (id: string) => Promise<V>) => createCache({ lifetimeMs, maxEntries, now, load })
  const recent: Recent = {
    clients: cache((id) => findClientMetadata(db, id, now())),
    grants: cache((id) => readGrant(db, id)),
    members: cache((id) => findActiveMember(db, id)),
    resources: cache((id) => db.resource.findUnique({ where: { id } })),
  }
  changes.on('client', (id) => recent.clients.drop(id))
  changes.on('member', (id) => recent.members.drop(id))
  changes.on('resource', (id) => recent.resources.drop(id))
  changes.on('grant', (id) => (id === '*' ? recent.grants.clear() : recent.grants.drop(id)))
  return recent
}

export async function readGrant(db: Db, id: string): Promise<StoredGrant | undefined> {
  const row = await db.grant.findUnique({ where: { id }, select: { payload: true, expiresAt: true } })
  return row ? { text: JSON.stringify(row.payload), expiresAt: row.expiresAt } : undefined
}

const machineRoutes = ['token', 'userinfo', 'introspection']

/** Requests of machines may rest on what was read a moment ago; what a person does in a browser is decided by what is. */
export function mayBeRecent(): boolean {
  const route = Provider.ctx?.oidc.route
  return route !== undefined && machineRoutes.includes(route)
}
