import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { createPasswordHasher } from '../../src/members/credentials/password.ts'
import { createMember } from '../../src/members/member.ts'
import { createSealer } from '../../src/security/seal.ts'
import { inTransaction, openDb } from '../../src/store/db.ts'
import { type GivenClient, givenClient } from '../support/given.ts'
import type { BareSetup } from './bare.ts'
import { type ServerProcess, startProcess } from './child.ts'
import type { Stores } from './stores.ts'

/** One of the two servers that are compared, with the same relying parties and members on each. */
export interface Side {
  name: 'ours' | 'bare'
  issuer: string
  clients: GivenClient[]
  machines: GivenClient[]
  /** Who can sign in, all with the one password. */
  emails: string[]
  process: ServerProcess
}

export const password = 'violet harbor lantern'
export const resource = 'https://api.example.com'
/** More than the 100 that the engine keeps ready by itself. */
const clientCount = 250
const memberCount = 100

export async function startSides(stores: Stores): Promise<{ ours: Side; bare: Side }> {
  const secretKey = randomBytes(32).toString('hex')
  const hasher = createPasswordHasher(2)
  const passwordHash = await hasher.hash(password)
  const emails = Array.from({ length: memberCount }, (_, i) => `member-${i}@example.com`)
  const { clients, machines } = await fillDatabase(stores.databaseUrl, secretKey, emails, passwordHash)

  const [ourPort, barePort] = [await freePort(), await freePort()]
  const issuer = `http://127.0.0.1:${ourPort}`
  const environment = {
    NODE_ENV: 'test',
    ISSUER: issuer,
    PORT: String(ourPort),
    // Guesses are counted by address: each sign-in comes from one of its own.
    TRUST_PROXY: '1',
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    SECRET_KEYS: secretKey,
    COOKIE_KEYS: randomBytes(32).toString('hex'),
  }
  const staticClients = [...clients, ...machines].map(staticClient)
  const setup: BareSetup = { port: barePort, clients: staticClients, passwordHash, resource }
  const bare = await startProcess('./bare.ts', setup)
  const ours = await startProcess('./ours.ts', environment)
  return {
    ours: { name: 'ours', issuer, clients, machines, emails, process: ours },
    bare: { name: 'bare', issuer: `http://127.0.0.1:${barePort}`, clients, machines, emails, process: bare },
  }
}

async function fillDatabase(
  url: string,
  secretKey: string,
  emails: string[],
  passwordHash: string,
): Promise<Pick<Side, 'clients' | 'machines'>> {
  // Long ago: what was changed within the last minute is read more often.
  const now = () => new Date(Date.now() - 86_400_000)
  const db = openDb(url, 2)
  const server = { db, now, sealer: createSealer([secretKey]) }
  try {
    for (const email of emails) {
      await inTransaction(db, (tx) =>
        createMember(tx, { name: 'Hanako Suzuki', email, passwordHash, locale: 'ja' }, now()),
      )
    }
    const times = { createdAt: now(), updatedAt: now() }
    const name = { ja: '在庫', en: 'Stock' }
    await db.resource.create({ data: { id: resource, name, scopes: ['read', 'write'], ...times } })
    const resources = [{ id: resource }]
    const clients: GivenClient[] = []
    const machines: GivenClient[] = []
    for (let i = 0; i < clientCount; i += 1) {
      clients.push(await givenClient(server))
      machines.push(await givenClient(server, { profile: 'machine', resources }))
    }
    return { clients, machines }
  } finally {
    await db.$disconnect()
  }
}

function staticClient({ id, secret, redirectUri }: GivenClient) {
  return {
    client_id: id,
    client_secret: secret,
    ...(redirectUri
      ? { redirect_uris: [redirectUri], grant_types: ['authorization_code', 'refresh_token'] }
      : { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }),
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (!address || typeof address !== 'object') throw new Error('no port is free')
  return address.port
}
