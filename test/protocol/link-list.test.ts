import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { apiResource } from '../../src/oidc/api.ts'
import { disableClient, findRegistration, updateClient } from '../../src/oidc/clients/client.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
  givenResource,
} from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let line: string
beforeAll(async () => {
  server = await startTestApp()
  line = (await givenConnection(server)).id
})
afterAll(() => server.close())

const grantTypes = ['authorization_code', 'refresh_token', 'client_credentials']
const api = () => apiResource(server.issuer)
const scopes = ['openid', 'linked_accounts']

/** A relying party whose own program may read the links of its members. */
async function givenReader(input: Parameters<typeof givenClient>[1] = {}): Promise<RelyingParty> {
  const { metadata, ...rest } = input ?? {}
  const client = await givenClient(server, {
    ...{ scopes, connections: [line] },
    metadata: { grant_types: grantTypes, ...metadata },
    ...rest,
  })
  return relyingParty(server, client)
}

async function tokenOf(party: RelyingParty, scope = 'links:read', resource = api()): Promise<string> {
  const form = { grant_type: 'client_credentials', resource, scope }
  const { json } = await post(server, '/token', form, { client: party })
  return String(json.access_token)
}

/** A member who allowed the relying party their linked accounts, and has one. */
async function givenLinked(
  party: RelyingParty,
): Promise<{ member: GivenMember; sub: string; subject: string }> {
  const member = await givenMember(server)
  const { subject } = await givenIdentity(server, { memberId: member.id, connectionId: line })
  const tokens = await signIn(party, openBrowser(), member, { scope: 'openid linked_accounts' })
  return { member, subject, sub: tokens.claims()?.sub ?? '' }
}

const read = (token: string | undefined, query: Record<string, string> = {}, headers = {}) =>
  send(`${server.issuer}/api/links?${new URLSearchParams(query)}`, {
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers },
  })

async function listed(party: RelyingParty, query: Record<string, string> = {}) {
  const { status, json } = await read(await tokenOf(party), query)
  expect(status).toBe(200)
  return json as unknown as { links: Record<string, string>[]; next_cursor: string | null; as_of: string }
}

describe('who may read', () => {
  test('RFC 6750 section 3: without a token the challenge names no error', async () => {
    const { status, headers, json } = await read(undefined)
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe('Bearer')
    expect(headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(headers['cache-control']).toBe('no-store')
    expect(json).toMatchObject({ status: 401, code: 'invalid_token' })
  })

  test('RFC 6750 section 3.1: a token of another audience, of a member, or of nobody is invalid_token', async () => {
    const orders = await givenResource(server)
    const party = await givenReader({ resources: [{ id: orders, scopes: [] }] })
    const member = await givenMember(server)
    const asMember = await signIn(party, openBrowser(), member, {
      ...{ scope: 'openid links:read', resource: api() },
    })
    const exchanged = await post(
      server,
      '/token',
      { grant_type: 'client_credentials', resource: orders, scope: 'orders:read' },
      { client: party },
    )
    const good = await tokenOf(party)
    const forged = good.slice(0, -1) + (good.endsWith('A') ? 'B' : 'A')
    const idToken = asMember.id_token ?? ''
    for (const token of [String(exchanged.json.access_token), asMember.access_token, idToken, forged, 'x']) {
      const { status, headers, json } = await read(token)
      expect([status, json.code]).toEqual([401, 'invalid_token'])
      expect(headers['www-authenticate']).toContain('error="invalid_token"')
    }
    expect((await read(good)).status).toBe(200)
  })

  test('a token of a client that was shut out is invalid_token at once', async () => {
    const party = await givenReader()
    const token = await tokenOf(party)
    expect((await read(token)).status).toBe(200)
    await inTransaction(server.db, (tx) => disableClient(tx, party.id, server.now()))
    expect((await read(token)).status).toBe(401)
  })

  test('RFC 6750 section 3.1: a token without the scope is insufficient_scope, and 403', async () => {
    const party = await givenReader({ vouchConnections: [line] })
    const { status, headers, json } = await read(await tokenOf(party, 'links:vouch'))
    expect([status, json.code]).toEqual([403, 'insufficient_scope'])
    expect(headers['www-authenticate']).toContain('error="insufficient_scope", scope="links:read"')
  })

  test('the right goes with the registration: a client that sees no connection has none', async () => {
    const party = await givenReader({ connections: [] })
    const form = { grant_type: 'client_credentials', resource: api(), scope: 'links:read' }
    const { status, json } = await post(server, '/token', form, { client: party })
    expect([status, json.error]).toEqual([400, 'invalid_target'])
    const before = await givenReader()
    const token = await tokenOf(before)
    await inTransaction(server.db, async (tx) => {
      const registered = await findRegistration(tx, before.id)
      await updateClient(tx, newClient.parse({ ...registered, connections: [] }), server.now())
    })
    expect((await read(token)).status).toBe(403)
  })

  test('RFC 9449 section 7.1: a token that is bound to a key takes a proof of it', async () => {
    const party = await givenReader({ metadata: { dpop_bound_access_tokens: true } })
    const handle = oidc.getDPoPHandle(party.config, await oidc.randomDPoPKeyPair())
    const parameters = { resource: api(), scope: 'links:read' }
    const tokens = await oidc.clientCredentialsGrant(party.config, parameters, { DPoP: handle })
    expect((await read(tokens.access_token)).status).toBe(401)
    const url = new URL(`${server.issuer}/api/links`)
    const bound = await oidc.fetchProtectedResource(
      party.config,
      tokens.access_token,
      url,
      'GET',
      null,
      undefined,
      {
        DPoP: handle,
      },
    )
    expect(bound.status).toBe(200)
  })

  test('RFC 6750 section 2: no token is taken from the address or a cookie', async () => {
    const party = await givenReader()
    const token = await tokenOf(party)
    expect((await read(undefined, { access_token: token })).status).toBe(401)
    expect((await read(undefined, {}, { cookie: `access_token=${token}` })).status).toBe(401)
  })
})

describe('what is told', () => {
  test('the members who allowed it, as this client knows them, and nobody else’s', async () => {
    const [party, other] = [await givenReader(), await givenReader()]
    const mine = await givenLinked(party)
    await givenLinked(other)
    const { links, next_cursor } = await listed(party)
    const identity = await server.db.federatedIdentity.findFirstOrThrow({
      where: { memberId: mine.member.id },
    })
    expect(links).toEqual([
      {
        sub: mine.sub,
        connection: line,
        issuer: identity.issuer,
        subject: mine.subject,
        linked_at: identity.linkedAt.toISOString(),
        status: 'linked',
      },
    ])
    expect(next_cursor).toBeNull()
  })

  test('a pairwise client is told its own names, of members and, where a connection is so disclosed, of accounts', async () => {
    const connection = await givenConnection(server, { settings: { disclosure: 'pairwise' } })
    const metadata = { subject_type: 'pairwise' }
    const [party, stranger] = [
      await givenReader({ connections: [connection.id], metadata }),
      await givenReader({ connections: [connection.id], metadata }),
    ]
    const member = await givenMember(server)
    const { subject } = await givenIdentity(server, { memberId: member.id, connectionId: connection.id })
    const tokens = await signIn(party, openBrowser(), member, { scope: 'openid linked_accounts' })
    const strangers = await signIn(stranger, openBrowser(), member, { scope: 'openid linked_accounts' })
    const claims = tokens.claims()
    const { links } = await listed(party)
    expect(links).toHaveLength(1)
    expect(links[0]).toMatchObject({ sub: claims?.sub, issuer: server.issuer })
    const { sub: _, ...account } = links[0] ?? {}
    expect(claims?.linked_accounts).toEqual([account])
    expect(JSON.stringify(links)).not.toContain(member.id)
    expect(JSON.stringify(links)).not.toContain(subject)
    expect(strangers.claims()?.linked_accounts).not.toEqual(claims?.linked_accounts)
    const again = await listed(party)
    expect(again.links).toEqual(links)
    // Filtered by its own name for the member, and by no other.
    expect((await listed(party, { sub: claims?.sub ?? '' })).links).toEqual(links)
    expect((await listed(party, { sub: member.id })).links).toEqual([])
    expect((await listed(party, { sub: strangers.claims()?.sub ?? '' })).links).toEqual([])
  })

  test.each<[string, (party: RelyingParty, memberId: string) => Promise<unknown>]>([
    [
      'took it back',
      (party, memberId) =>
        inTransaction(server.db, (tx) => revokeGrants(tx, { memberId, clientId: party.id }, server.now())),
    ],
    [
      'is suspended',
      (_party, memberId) =>
        inTransaction(server.db, (tx) => suspendMember(tx, memberId, undefined, server.now())),
    ],
    [
      'was absorbed by another',
      (_party, id) => server.db.member.update({ where: { id }, data: { status: 'absorbed' } }),
    ],
    [
      'agreed for a time that is over',
      (_party, memberId) =>
        server.db.federatedIdentity.updateMany({ where: { memberId }, data: { consentUntil: server.now() } }),
    ],
  ])('nothing any more of a member who %s', async (_what, change) => {
    const party = await givenReader()
    const { member } = await givenLinked(party)
    expect((await listed(party)).links).toHaveLength(1)
    await change(party, member.id)
    expect((await listed(party)).links).toEqual([])
  })

  test('nothing without the scope, the permission, a connection that is on, or the claim', async () => {
    const [off, other] = [(await givenConnection(server)).id, (await givenConnection(server)).id]
    const parties = [
      await givenReader({ connections: [other] }),
      await givenReader({ connections: [other], vouchConnections: [line], tokenConnections: [line] }),
      await givenReader({ connections: [other, off] }),
      await givenReader({ metadata: { allowed_claims: ['name'] } }),
    ]
    const member = await givenMember(server)
    for (const connectionId of [line, off]) await givenIdentity(server, { memberId: member.id, connectionId })
    for (const party of parties)
      await signIn(party, openBrowser(), member, { scope: 'openid linked_accounts' })
    const plain = await givenReader()
    await signIn(plain, openBrowser(), member)
    await inTransaction(server.db, (tx) => disableConnection(tx, off, server.now()))
    for (const party of [...parties, plain]) expect((await listed(party)).links).toEqual([])
  })

  test('a connection the member has not agreed to yet is not told; a first-party client needs no agreement', async () => {
    const later = (await givenConnection(server)).id
    const [party, own] = [await givenReader(), await givenReader({ firstParty: true })]
    const { member } = await givenLinked(party)
    await signIn(own, openBrowser(), member, { scope: 'openid linked_accounts' })
    await givenIdentity(server, { memberId: member.id, connectionId: later })
    for (const { id: clientId } of [party, own])
      await server.db.clientConnection.create({ data: { clientId, connectionId: later } })
    expect((await listed(party)).links.map(({ connection }) => connection)).toEqual([line])
    expect((await listed(own)).links.map(({ connection }) => connection).sort()).toEqual([line, later].sort())
  })

  test('a link the upstream no longer stands behind is marked, in the list and in claims', async () => {
    const party = await givenReader()
    const { member } = await givenLinked(party)
    await server.db.federatedIdentity.updateMany({
      where: { memberId: member.id },
      data: { needsRelinkSince: server.now() },
    })
    const { links } = await listed(party)
    expect(links).toMatchObject([{ status: 'needs_relink' }])
    const tokens = await signIn(party, openBrowser(), member, { scope: 'openid linked_accounts' })
    expect(tokens.claims()?.linked_accounts).toMatchObject([{ status: 'needs_relink' }])
  })

  test('all accounts of one connection, when a member has several', async () => {
    const party = await givenReader()
    const { member, subject } = await givenLinked(party)
    const second = await server.db.federatedIdentity.create({
      data: {
        ...{ memberId: member.id, connectionId: line, issuer: 'https://other.example.com', subject: 'two' },
        ...{ profile: {}, linkedAt: server.now() },
      },
    })
    const { links } = await listed(party)
    expect(links.map((link) => link.subject).sort()).toEqual([subject, second.subject].sort())
  })

  test('a merged member is listed under the name the client knows', async () => {
    const party = await givenReader()
    const { member: absorbed, sub } = await givenLinked(party)
    const survivor = await givenMember(server)
    const undoUntil = new Date(server.now().getTime() + 86_400_000)
    await server.db.merge.create({
      data: {
        ...{ survivorId: survivor.id, absorbedId: absorbed.id, decidedBy: 'member' },
        ...{ mergedAt: server.now(), undoUntil },
      },
    })
    await server.db.knownMember.createMany({
      data: { clientId: party.id, memberId: absorbed.id, firstAt: server.now() },
      skipDuplicates: true,
    })
    await server.db.member.update({ where: { id: absorbed.id }, data: { status: 'absorbed' } })
    const move = { where: { memberId: absorbed.id }, data: { memberId: survivor.id } }
    await server.db.federatedIdentity.updateMany(move)
    await server.db.grant.updateMany(move)
    expect((await listed(party)).links).toMatchObject([{ sub }])
    expect((await listed(party, { sub })).links).toMatchObject([{ sub }])
  })
})

describe('pages and changes', () => {
  test.each([
    ['limit', '0'],
    ['limit', '501'],
    ['limit', 'many'],
    ['cursor', 'nonsense'],
    ['since', 'yesterday'],
  ])('%s=%s is refused with the field', async (name, value) => {
    const { status, json } = await read(await tokenOf(await givenReader()), { [name]: value })
    expect(status).toBe(400)
    expect(json).toMatchObject({ code: 'invalid_input', fields: { [name]: expect.any(String) } })
  })

  test('a cursor is good for the list it came from: not another client’s, nor with another filter', async () => {
    const [party, other] = [await givenReader(), await givenReader()]
    await givenLinked(party)
    await givenLinked(party)
    const { next_cursor: cursor } = await listed(party, { limit: '1' })
    const query = { cursor: cursor ?? '', limit: '1' }
    expect((await read(await tokenOf(other), query)).status).toBe(400)
    const since = new Date(0).toISOString()
    expect((await read(await tokenOf(party), { ...query, since })).status).toBe(400)
    expect((await listed(party, query)).links).toHaveLength(1)
  })

  test('10,000 links come page by page: each once, while members come and go', async () => {
    const party = await givenReader()
    await insertLinked(party.id, 10_000)
    const seen: string[] = []
    let cursor: string | null = null
    const token = await tokenOf(party)
    do {
      const query = { limit: '500', ...(cursor && { cursor }) }
      const { json } = await read(token, query)
      const page = json as unknown as { links: { subject: string }[]; next_cursor: string | null }
      expect(page.links.length).toBeLessThanOrEqual(500)
      seen.push(...page.links.map(({ subject }) => subject))
      cursor = page.next_cursor
      if (seen.length === 2500) await removeOneAlreadySeen(seen)
    } while (cursor)
    expect(new Set(seen).size).toBe(10_000)
    expect(seen).toHaveLength(10_000)
  }, 60_000)

  test('since: what was linked, broke or ended from then on, and no more', async () => {
    const party = await givenReader()
    const before = await givenLinked(party)
    const since = server.now().toISOString()
    const linkedAt = new Date(server.now().getTime() - 3_600_000)
    await server.db.federatedIdentity.updateMany({
      where: { memberId: before.member.id },
      data: { linkedAt },
    })
    expect((await listed(party, { since })).links).toEqual([])
    const after = await givenLinked(party)
    const ended = await givenLinked(party)
    const row = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: ended.member.id } })
    const unlinkedAt = server.now()
    const whose = { memberId: ended.member.id, identityId: row.id }
    await unlinkIdentity(server.db, { sealer: server.sealer, coolOffDays: 1 }, whose, unlinkedAt)
    const { links, as_of } = await listed(party, { since })
    expect(links.map(({ sub, status }) => [sub, status]).sort()).toEqual(
      [
        [after.sub, 'linked'],
        [ended.sub, 'unlinked'],
      ].sort(),
    )
    expect(links.find(({ status }) => status === 'unlinked')?.unlinked_at).toBe(unlinkedAt.toISOString())
    expect(Date.parse(as_of)).toBeLessThan(server.now().getTime())
    await server.db.federatedIdentity.updateMany({
      where: { memberId: before.member.id },
      data: { needsRelinkSince: server.now() },
    })
    const broken = await listed(party, { since, sub: before.sub })
    expect(broken.links).toMatchObject([{ sub: before.sub, status: 'needs_relink' }])
  })

  test('who asks too often is told to wait', async () => {
    const party = await givenReader()
    const token = await tokenOf(party)
    expect((await read(token)).status).toBe(200)
    for (let i = 0; i < 599; i += 1) await server.store.increment(`rate:link-list:${party.id}`, 60)
    const { status, headers, json } = await read(token)
    expect([status, json.code]).toEqual([429, 'too_many_requests'])
    expect(Number(headers['retry-after'])).toBeGreaterThan(0)
  })
})

/** Members, links and grants by the thousand, as the engine stores them. */
async function insertLinked(clientId: string, count: number): Promise<void> {
  const payload = JSON.stringify({
    openid: { scope: 'openid linked_accounts' },
    resources: { 'urn:hitotsu:linked-accounts': line },
  })
  await server.db.$executeRaw`
    WITH people AS (
      INSERT INTO "Member" ("id", "name", "locale", "createdAt", "updatedAt", "sessionsValidFrom")
      SELECT gen_random_uuid(), 'Hanako Suzuki', 'ja', now(), now(), now() FROM generate_series(1, ${count}::int)
      RETURNING "id"
    ), links AS (
      INSERT INTO "FederatedIdentity" ("id", "memberId", "connectionId", "issuer", "subject", "profile", "linkedAt")
      SELECT gen_random_uuid(), "id", ${line}, 'https://many.example.com', "id"::text, '{}', now() FROM people
    )
    INSERT INTO "Grant" ("id", "memberId", "clientId", "payload", "createdAt")
    SELECT 'many-' || "id", "id", ${clientId}, ${payload}::jsonb, now() FROM people`
}

/** Takes one away that was told, and puts one back where it was passed already. */
async function removeOneAlreadySeen(seen: readonly string[]): Promise<void> {
  await server.db.federatedIdentity.deleteMany({ where: { subject: seen[0] ?? '' } })
}
