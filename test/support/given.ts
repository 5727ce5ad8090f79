import { randomBytes } from 'node:crypto'
import {
  createConnection,
  enableConnection,
  getUsableConnection,
  type NewConnection,
} from '../../src/connections/connection.ts'
import type { Connection } from '../../src/connections/settings.ts'
import { createCampaign, type NewCampaign } from '../../src/linking/campaigns/campaign.ts'
import { findIdentity } from '../../src/linking/identity.ts'
import { linkIdentity } from '../../src/linking/link.ts'
import { consentText } from '../../src/linking/link-consent.ts'
import { createPasswordHasher } from '../../src/members/credentials/password.ts'
import { createMember } from '../../src/members/member.ts'
import { createClient } from '../../src/oidc/clients/client.ts'
import { type NewClient, newClient } from '../../src/oidc/clients/new-client.ts'
import { createResource, type NewResource, newResource } from '../../src/oidc/resource-registration.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { FederatedIdentity } from '../../src/store/generated/client.ts'
import type { TestApp } from './app.ts'

/** What builders need of a server; a script that has a database and a clock can use them too. */
type Server = Pick<TestApp, 'db' | 'now' | 'sealer'>

export interface GivenMember {
  id: string
  name: string
  email: string
  password: string
}

export interface GivenClient {
  id: string
  /** Empty for a client that has none. */
  secret: string
  redirectUri: string
}

const hasher = createPasswordHasher(2, { memoryKiB: 1024, passes: 2 })
const password = 'violet harbor lantern'
const hash = hasher.hash(password)

/** A member who can sign in with this address and password. */
export async function givenMember(
  server: Server,
  { name = 'Hanako Suzuki', email = `${unique('member')}@example.com`, locale = 'en' } = {},
): Promise<GivenMember> {
  const passwordHash = await hash
  const { id } = await inTransaction(server.db, (tx) =>
    createMember(tx, { name, email, passwordHash, locale }, server.now()),
  )
  return { id, name, email, password }
}

const browserless = ['machine', 'device']

/** A relying party; what is not said is as `newClient` has it. Its redirect address is nobody's: browsers stop there. */
export async function givenClient(server: Server, input: Partial<NewClient> = {}): Promise<GivenClient> {
  const id = input.id ?? unique('client')
  const client = newClient.parse({
    id,
    name: { ja: `店 ${id}`, en: `Shop ${id}` },
    ...(!browserless.includes(input.profile ?? 'web') && {
      redirectUris: [`https://${id}.example.com/callback`],
    }),
    ...input,
  })
  const { secret = '' } = await inTransaction(server.db, (tx) =>
    createClient(tx, systemRandom, client, server.now()),
  )
  return { id, secret, redirectUri: client.redirectUris?.[0] ?? '' }
}

/** An API with two scopes, whose tokens are JWTs if nothing else is said. Its resource indicator. */
export async function givenResource(server: Server, input: Partial<NewResource> = {}): Promise<string> {
  const id = input.id ?? `https://${unique('api')}.example.com`
  const name = { ja: '注文API', en: 'Orders API' }
  const resource = newResource.parse({ id, name, scopes: ['orders:read', 'orders:write'], ...input })
  await inTransaction(server.db, (tx) => createResource(tx, resource, server.now()))
  return id
}

/** A connection that is in use; give the issuer of an upstream that listens if somebody is going to be sent there. */
export async function givenConnection(
  server: Server,
  input: Partial<NewConnection> = {},
): Promise<Connection> {
  const { id } = await givenDraft(server, input)
  await inTransaction(server.db, (tx) => enableConnection(tx, id, server.now()))
  return getUsableConnection(server.db, id)
}

/** A connection as it is made: nobody links or signs in through it yet. */
export async function givenDraft(server: Server, input: Partial<NewConnection> = {}): Promise<Connection> {
  const id = input.id ?? unique('connection')
  const connection: NewConnection = {
    id,
    kind: 'oidc',
    name: { ja: `外部 ${id}`, en: `Upstream ${id}` },
    issuer: `https://${id}.example.com`,
    clientId: 'hitotsu',
    clientSecret: 'a secret of one test',
    settings: {},
    ...input,
  }
  return inTransaction(server.db, (tx) => createConnection(tx, server.sealer, connection, server.now()))
}

/** An upstream account that this member has linked, with the consent that goes with it. */
export async function givenIdentity(
  server: Server,
  input: { memberId: string; connectionId: string; issuer?: string; subject?: string; name?: string },
): Promise<FederatedIdentity> {
  const { db, sealer, now } = server
  const { memberId, connectionId, subject = unique('subject'), name = 'Hanako upstream' } = input
  const connection = await getUsableConnection(db, connectionId)
  const { issuer = connection.issuer } = input
  const identity = { connectionId, issuer, subject, profile: { name }, emailVerified: false }
  const consent = await consentText(
    db,
    { connection, identity, termsVersion: '2026-01', locale: 'en' },
    now(),
  )
  const tokens = { accessToken: unique('upstream-access'), refreshToken: unique('upstream-refresh') }
  const way = 'account_page' as const
  const agreed = { memberId, connectionId, way, identity, tokens, consent, purpose: 'link' as const }
  await linkIdentity(db, { sealer }, agreed, now())
  const linked = await findIdentity(db, identity)
  if (!linked) throw new Error('the identity was not linked')
  return linked
}

/** A campaign that runs for an hour more and has no budget, if nothing else is said. Its id. */
export async function givenCampaign(
  server: Server,
  input: Partial<NewCampaign> & { connectionId: string },
): Promise<string> {
  const now = server.now()
  const campaign: NewCampaign = {
    id: unique('campaign'),
    name: { ja: '連携キャンペーン', en: 'Link and win' },
    rewardLabel: { ja: '100ポイント', en: '100 points' },
    ...{ amount: 100, unit: 'point' },
    startsAt: new Date(now.getTime() - 1000),
    endsAt: new Date(now.getTime() + 3_600_000),
    ...input,
  }
  const creation = await inTransaction(server.db, (tx) => createCampaign(tx, campaign, now))
  if (creation.outcome !== 'created') throw new Error(`no campaign: ${creation.outcome}`)
  return campaign.id
}

const unique = (prefix: string) => `${prefix}-${randomBytes(5).toString('hex')}`
