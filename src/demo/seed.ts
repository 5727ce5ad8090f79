import {
  createConnection,
  enableConnection,
  findConnection,
  type NewConnection,
} from '../connections/connection.ts'
import { findEmail } from '../members/contact-point.ts'
import { createPasswordHasher } from '../members/credentials/password.ts'
import { createMember } from '../members/member.ts'
import { createClient, rotateSecret } from '../oidc/clients/client.ts'
import { newClient } from '../oidc/clients/new-client.ts'
import type { Random } from '../security/random.ts'
import type { Sealer } from '../security/seal.ts'
import { type Db, inTransaction } from '../store/db.ts'

/** Who the demo is ready for. */
export const demoMember = {
  name: 'Demo Member',
  email: 'member@example.com',
  password: 'copper kettle on a quiet hill',
}

export const storeClientId = 'ec-store'
export const lineConnectionId = 'line'
export const storeConnectionId = 'ec'

export interface DemoUpstreams {
  line: { issuer: string; channelId: string; channelSecret: string }
  store: { issuer: string; clientId: string; clientSecret: string }
}

interface SeedDeps {
  db: Db
  random: Random
  sealer: Sealer
  now: Date
}

/** Puts a member, two connections and a relying party where they are missing; what is there stays. Returns the relying party's secret. */
export async function seedDemo(deps: SeedDeps, upstreams: DemoUpstreams): Promise<string> {
  await seedMember(deps)
  await seedConnections(deps, upstreams)
  return seedClient(deps, upstreams.store.issuer)
}

async function seedMember({ db, now }: SeedDeps): Promise<void> {
  const { name, email, password } = demoMember
  if (await findEmail(db, email)) return
  const passwordHash = await createPasswordHasher(1).hash(password)
  await inTransaction(db, (tx) => createMember(tx, { name, email, passwordHash, locale: 'ja' }, now))
}

async function seedConnections(deps: SeedDeps, { line, store }: DemoUpstreams): Promise<void> {
  const { db } = deps
  if (!(await findConnection(db, lineConnectionId))) {
    const { issuer, channelId: clientId, channelSecret: clientSecret } = line
    const name = { ja: 'LINE', en: 'LINE' }
    const settings = {}
    await openConnection(deps, {
      id: lineConnectionId,
      kind: 'line',
      name,
      issuer,
      clientId,
      clientSecret,
      settings,
    })
  }
  if (!(await findConnection(db, storeConnectionId))) {
    const name = { ja: 'デモストア', en: 'Demo Store' }
    const settings = { trustEmail: true }
    await openConnection(deps, { id: storeConnectionId, kind: 'oidc', name, ...store, settings })
  }
}

async function openConnection({ db, sealer, now }: SeedDeps, connection: NewConnection): Promise<void> {
  await inTransaction(db, async (tx) => {
    await createConnection(tx, sealer, connection, now)
    await enableConnection(tx, connection.id, now)
  })
}

/** Only digests of secrets are stored, so each start of the demo takes a new one. */
async function seedClient({ db, random, now }: SeedDeps, storeUrl: string): Promise<string> {
  if (await db.client.findUnique({ where: { id: storeClientId } })) {
    return inTransaction(db, (tx) => rotateSecret(tx, random, storeClientId, 0, now))
  }
  const { secret } = await inTransaction(db, (tx) =>
    createClient(
      tx,
      random,
      newClient.parse({
        id: storeClientId,
        name: { ja: 'デモストア', en: 'Demo Store' },
        redirectUris: [`${storeUrl}/callback`],
        postLogoutRedirectUris: [`${storeUrl}/signed-out`],
        scopes: ['openid', 'profile', 'email', 'offline_access', 'linked_accounts'],
        authMethod: 'client_secret_basic',
        connections: [lineConnectionId, storeConnectionId],
      }),
      now,
    ),
  )
  if (!secret) throw new Error('a confidential client has a secret')
  return secret
}
