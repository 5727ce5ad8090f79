import { type AdapterPayload, Provider } from 'oidc-provider'
import { findActiveMember } from '../members/member.ts'
import { type Cache, createCache } from '../store/cache.ts'
import type { Changes } from '../store/changes.ts'
import type { Db } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { Member, Resource } from '../store/generated/client.ts'
import { findClientMetadata } from './clients/client.ts'
import { lineageOf } from './lineage.ts'

/** Milliseconds. Whatever changes is seen by every process within that time, and at once by those that hear of it. */
const lifetimeMs = 500
const maxEntries = 10_000

/** A stored grant, as text: each reader gets an object of its own. */
export interface StoredGrant {
  text: string
  expiresAt: Date | null
}

/** A member who may act, with the address relying parties are told, and what their names depend on. */
export type RecentMember = Member & Standing

interface Standing {
  email: string | undefined
  /** As `Lineage`, without the member. Nearly nobody has absorbed anybody. */
  absorbed: string[]
  /** By client: whom of the lineage it knows. Empty for a member who has absorbed nobody. */
  known: Record<string, string[]>
}

/** What a process read a moment ago, for requests without a browser: those come by the thousand for the same few things. */
export interface Recent {
  clients: Pick<Cache<AdapterPayload | undefined>, 'get'>
  grants: Cache<StoredGrant | undefined>
  members: Cache<RecentMember | undefined>
  /** Entries of the ephemeral store by their keys. Readers copy what they get. */
  entries: Cache<AdapterPayload | undefined>
  resources: Cache<Resource | null>
}

/** What the engine stands on. */
export interface EngineDeps {
  db: Db
  store: Ephemeral
  recent: Recent
  now: () => Date
}

export function rememberRecent(
  { db, store, changes }: { db: Db; store: Ephemeral; changes: Changes },
  now: () => Date,
): Recent {
  const cache = <V>(load: (id: string) => Promise<V>) => createCache({ lifetimeMs, maxEntries, now, load })
  const recent: Recent = {
    clients: rememberClients(db, changes, now),
    grants: cache((id) => readGrant(db, id)),
    members: cache((id) => readMember(db, id)),
    entries: cache((key) => readEntry(store, key)),
    resources: cache((id) => db.resource.findUnique({ where: { id } })),
  }
  changes.on('member', (id) => recent.members.drop(id))
  changes.on('resource', (id) => recent.resources.drop(id))
  changes.on('grant', (id) => (id === '*' ? recent.grants.clear() : recent.grants.drop(id)))
  return recent
}

/** Clients are few and asked for all the time: they are kept for long, and one statement asks whether any has changed. */
function rememberClients(db: Db, changes: Changes, now: () => Date): Recent['clients'] {
  const ids = new Set<string>()
  const load = (id: string) => {
    ids.add(id)
    return findClientMetadata(db, id, now())
  }
  const kept = createCache({ lifetimeMs: 60_000, maxEntries, now, load })
  const drop = (id: string) => {
    ids.delete(id)
    kept.drop(id)
  }
  const clear = () => {
    ids.clear()
    kept.clear()
  }
  let known: string | null | undefined
  const look = async () => {
    // A change is looked for longer than any transaction that made it, and any difference between clocks, lasts.
    const since = new Date(now().getTime() - 60_000)
    const [found] = await db.$queryRaw<[{ connections: string | null; changed: string[] }]>`
      SELECT (SELECT max("updatedAt")::text FROM "Connection") AS "connections",
        ARRAY(SELECT k."id" FROM unnest(${[...ids]}::text[]) AS k("id") LEFT JOIN "Client" c USING ("id")
          WHERE c."id" IS NULL OR c."updatedAt" >= ${since}) AS "changed"`
    if (found.connections !== known || ids.size > maxEntries) clear()
    found.changed.forEach(drop)
    known = found.connections
    return true
  }
  const looked = createCache({ lifetimeMs, maxEntries: 1, now, load: look })
  changes.on('client', drop)
  changes.on('connection', clear)
  return {
    async get(id) {
      await looked.get('')
      return kept.get(id)
    },
  }
}

export async function readEntry(store: Ephemeral, key: string): Promise<AdapterPayload | undefined> {
  const text = await store.get(key)
  return text === undefined ? undefined : JSON.parse(text)
}

async function readMember(db: Db, id: string): Promise<RecentMember | undefined> {
  const [member, standing] = await Promise.all([findActiveMember(db, id), readStanding(db, id)])
  return member && { ...member, ...standing }
}

/** In one statement, as requests without a browser come by the thousand. */
async function readStanding(db: Db, id: string): Promise<Standing> {
  const [row] = await db.$queryRaw<
    [{ email: string | null; absorbed: string[]; known: Standing['known'] | null }]
  >`
    ${lineageOf(id)} SELECT
      (SELECT "value" FROM "ContactPoint"
        WHERE "memberId" = ${id}::uuid AND "kind" = 'email' AND "isPrimary" LIMIT 1) AS "email",
      ARRAY(SELECT "id" FROM lineage ORDER BY "path") AS "absorbed",
      (SELECT jsonb_object_agg("clientId", "ids") FROM (
        SELECT "clientId", jsonb_agg("memberId") AS "ids" FROM "KnownMember"
        WHERE EXISTS (SELECT 1 FROM lineage)
          AND ("memberId" = ${id}::uuid OR "memberId" IN (SELECT "id"::uuid FROM lineage))
        GROUP BY "clientId") k) AS "known"`
  return { email: row.email ?? undefined, absorbed: row.absorbed, known: row.known ?? {} }
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
