import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection, enableConnection } from '../../src/connections/connection.ts'
import { markNeedsRelink } from '../../src/linking/unlink/needs-relink.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { tokenExchangeGrant } from '../../src/oidc/clients/profile.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Peer } from '../support/app.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { changesOf, linkThrough, signInTo, typesOf } from '../support/linking.ts'
import { type Answer, post } from '../support/post.ts'
import { begin, relyingParty, signIn } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const scope = 'openid upstream_tokens'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let other: UpstreamProvider
let peer: Peer
let shop: GivenClient
beforeAll(async () => {
  server = await startLinkingApp()
  const settings = {
    scope: 'openid offline_access',
    // OpenID Connect Core 11: what takes offline_access at an upstream of the certified kind.
    authorizationParams: { prompt: 'consent' },
  }
  upstream = await givenUpstream(server, { id: 'store', name: { ja: '通販', en: 'Web Shop' }, settings })
  other = await givenUpstream(server, { id: 'other' })
  peer = await server.startPeer()
  shop = await givenShop()
})
afterAll(async () => {
  await peer.close()
  await Promise.all([server.close(), upstream.close(), other.close()])
})

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `vaulted-${++count}`
  other.behavior.subject = `vaulted-${count}`
  upstream.behavior.wrong = {}
})

const givenShop = (input: Parameters<typeof givenClient>[1] = {}) =>
  givenClient(server, {
    scopes: ['openid', 'upstream_tokens'],
    tokenConnections: ['store'],
    metadata: { grant_types: ['authorization_code', tokenExchangeGrant] },
    ...input,
  })

interface Holder {
  member: GivenMember
  browser: Browser
  identityId: string
  /** The client's own access token of the member. */
  token: string
}

async function givenHolder(client = shop, asked = scope): Promise<Holder> {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'store')
  const { id: identityId } = await server.db.federatedIdentity.findFirstOrThrow({
    where: { memberId: member.id },
  })
  const tokens = await signIn(await relyingParty(server, client), browser, member, { scope: asked })
  return { member, browser, identityId, token: tokens.access_token }
}

const exchange = (
  token: string,
  form: Record<string, string> = {},
  client = shop,
  origin = server.issuer,
): Promise<Answer> =>
  post(
    server,
    '/token',
    {
      grant_type: tokenExchangeGrant,
      subject_token: token,
      subject_token_type: accessTokenType,
      audience: 'store',
      ...form,
    },
    { client, origin },
  )

const refusal = ({ status, json }: Answer) => [status, json.error]

async function expectNothing(act: () => Promise<Answer>, ...refused: unknown[]) {
  const { result, ...changes } = await changesOf(server, act)
  expect(refusal(result)).toEqual(refused)
  expect(result.json).not.toHaveProperty('access_token')
  expect(changes).toEqual({ rows: {}, events: [] })
}

/** As if the upstream's token were about to run out. */
const runOut = (identityId: string, secondsLeft: number) =>
  server.db.upstreamToken.update({
    where: { id: identityId },
    data: { expiresAt: new Date(server.now().getTime() + secondsLeft * 1000) },
  })

const stored = async (identityId: string) => {
  const { sealed } = await server.db.upstreamToken.findUniqueOrThrow({ where: { id: identityId } })
  return JSON.parse(server.sealer.open(sealed, `upstream tokens ${identityId}`))
}
const refreshes = () => upstream.requests.filter((path) => path === '/token').length

describe('an upstream token is not handed out', () => {
  test.each<[string, Record<string, string>, string]>([
    ['without an audience', { audience: '' }, 'invalid_request'],
    ['for a connection that does not exist', { audience: 'nowhere' }, 'invalid_target'],
    ['for a connection the client may not have', { audience: 'other' }, 'invalid_target'],
    ['for a made-up token', { subject_token: 'made-up' }, 'invalid_request'],
    ['without a token', { subject_token: '' }, 'invalid_request'],
    ['as another kind of token', { requested_token_type: `${accessTokenType}x` }, 'invalid_request'],
    [
      'as a refresh token',
      { requested_token_type: accessTokenType.replace('access', 'refresh') },
      'invalid_request',
    ],
    ['in the name of somebody else', { actor_token: 'x' }, 'invalid_request'],
    ['with a scope of our choosing', { scope: 'openid' }, 'invalid_request'],
  ])('%s', async (_, form, error) => {
    const { token } = await givenHolder()
    await expectNothing(() => exchange(token, form), 400, error)
  })

  test('to a client with the token of another client', async () => {
    const { token } = await givenHolder()
    const thief = await givenShop()
    await expectNothing(() => exchange(token, {}, thief), 400, 'invalid_request')
  })

  test('for a token without the scope', async () => {
    const { token } = await givenHolder(shop, 'openid')
    await expectNothing(() => exchange(token), 400, 'invalid_grant')
  })

  test('for a connection that was allowed the client after the member agreed', async () => {
    const growing = await givenShop({ tokenConnections: ['other'] })
    const { token } = await givenHolder(growing)
    await server.db.clientConnection.create({
      data: { clientId: growing.id, connectionId: 'store', discloses: false, handsOut: true },
    })
    await server.db.client.update({ where: { id: growing.id }, data: { updatedAt: new Date() } })
    server.advance(1)
    await expectNothing(() => exchange(token, {}, growing), 400, 'invalid_grant')
  })

  test('once the right was taken from the client, whatever a process remembers', async () => {
    const losing = await givenShop()
    const { token } = await givenHolder(losing)
    expect((await exchange(token, {}, losing)).status).toBe(200)
    await server.db.clientConnection.updateMany({
      where: { clientId: losing.id },
      data: { handsOut: false },
    })
    await expectNothing(() => exchange(token, {}, losing), 400, 'invalid_target')
  })

  test('of a member who has not linked it', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const tokens = await signIn(await relyingParty(server, shop), browser, member, { scope })
    await expectNothing(() => exchange(tokens.access_token), 400, 'invalid_grant')
  })

  test('after the member unlinked it', async () => {
    const { token, member, identityId } = await givenHolder()
    const policy = { sealer: server.sealer, coolOffDays: 7 }
    await unlinkIdentity(server.db, policy, { memberId: member.id, identityId }, server.now())
    await expectNothing(() => exchange(token), 400, 'invalid_grant')
    expect(await server.db.upstreamToken.count({ where: { id: identityId } })).toBe(0)
  })

  test('from the moment the upstream withdrew', async () => {
    const { token, identityId } = await givenHolder()
    await inTransaction(server.db, (tx) => markNeedsRelink(tx, identityId, 'consent_revoked', server.now()))
    const answer = await exchange(token)
    expect(answer.json.error_description).toBe('the member has to link the account again')
  })

  test('while its connection is disabled', async () => {
    const { token } = await givenHolder()
    await inTransaction(server.db, (tx) => disableConnection(tx, 'store', server.now()))
    const answer = await exchange(token)
    await inTransaction(server.db, (tx) => enableConnection(tx, 'store', server.now()))
    expect(answer.status).toBe(400)
    expect(answer.json).not.toHaveProperty('access_token')
  })

  test('of a member who is suspended', async () => {
    const { token, member } = await givenHolder()
    await inTransaction(server.db, (tx) => suspendMember(tx, member.id, undefined, server.now()))
    await expectNothing(() => exchange(token), 400, 'invalid_grant')
  })

  test('more often than a client can need it', async () => {
    const { token } = await givenHolder()
    for (let i = 0; i < 60; i += 1) expect((await exchange(token)).status).toBe(200)
    await expectNothing(() => exchange(token), 429, 'slow_down')
  }, 60_000)
})

test('the member is asked in words, and told of which connections', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  const { url } = await begin(await relyingParty(server, shop), { scope })
  const page = await browser.open(url)
  expect(page.html).toContain('Use of your linked services')
  expect(page.html).toContain('Web Shop')
})

test('RFC 8693 section 2.2.1: the token is the upstream’s own, with what is left of its life, and nothing else of it', async () => {
  const { token, member, identityId } = await givenHolder()
  const { result, ...changes } = await changesOf(server, () => exchange(token))
  const { accessToken } = await stored(identityId)
  expect(result.status).toBe(200)
  expect(result.json).toEqual({
    access_token: accessToken,
    issued_token_type: accessTokenType,
    token_type: 'Bearer',
    expires_in: expect.any(Number),
  })
  expect(Number(result.json.expires_in)).toBeGreaterThan(500)
  expect(result.headers['cache-control']).toBe('no-store')
  const data = { clientId: shop.id, connectionId: 'store', identityId }
  expect(changes).toEqual({
    rows: {},
    events: [{ type: 'upstream_token.handed_out', memberId: member.id, data }],
  })
  expect(server.logged()).not.toContain(accessToken)
})

describe('a token that is about to run out', () => {
  test('is exchanged at the upstream once, whoever asks at whichever process, and all get the new one', async () => {
    const { token, identityId } = await givenHolder()
    const before = await stored(identityId)
    await runOut(identityId, -5)
    const already = refreshes()
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => exchange(token, {}, shop, i % 2 ? peer.origin : server.issuer)),
    )
    expect(refreshes() - already).toBe(1)
    const { accessToken, refreshToken } = await stored(identityId)
    expect(accessToken).not.toBe(before.accessToken)
    expect(answers.map(({ json }) => json.access_token)).toEqual(answers.map(() => accessToken))
    expect(answers.map(({ text }) => text).join()).not.toContain(refreshToken)
  })

  test('is handed out as it is while somebody else exchanges it', async () => {
    const { token, identityId } = await givenHolder()
    const { accessToken } = await stored(identityId)
    await runOut(identityId, 30)
    await lease(identityId, 30)
    const already = refreshes()
    expect((await exchange(token)).json).toMatchObject({ access_token: accessToken })
    expect(refreshes()).toBe(already)
  })

  test('is exchanged by another process after one died in the middle of it', async () => {
    const { token, identityId } = await givenHolder()
    await runOut(identityId, -5)
    await lease(identityId, -1)
    expect((await exchange(token, {}, shop, peer.origin)).status).toBe(200)
  })

  test('is told as unavailable while the upstream does not answer, and exchanged when it does', async () => {
    const { token, identityId } = await givenHolder()
    await runOut(identityId, -5)
    upstream.behavior.wrong = { answers: { '/token': (response) => response.writeHead(503).end() } }
    await expectNothing(() => exchange(token), 503, 'temporarily_unavailable')
    upstream.behavior.wrong = {}
    expect((await exchange(token)).status).toBe(200)
  })

  test('leads to linking again when the upstream stands behind it no more', async () => {
    const { token, member, identityId } = await givenHolder()
    await runOut(identityId, -5)
    await upstream.revokeEverything()
    const { result, ...changes } = await changesOf(server, () => exchange(token))
    expect(result.json.error_description).toBe('the member has to link the account again')
    const data = { connectionId: 'store', identityId, reason: 'tokens_revoked' }
    expect(changes.events).toEqual([{ type: 'identity.relink_required', memberId: member.id, data }])
  })

  test('that the upstream lets nobody exchange is told as run out', async () => {
    const { token, identityId } = await givenHolder()
    const { accessToken } = await stored(identityId)
    const sealed = server.sealer.seal(JSON.stringify({ accessToken }), `upstream tokens ${identityId}`)
    await server.db.upstreamToken.update({ where: { id: identityId }, data: { sealed } })
    await runOut(identityId, -5)
    await expectNothing(() => exchange(token), 400, 'invalid_grant')
  })
})

const lease = (identityId: string, seconds: number) =>
  server.db.upstreamToken.update({
    where: { id: identityId },
    data: { refreshingUntil: new Date(server.now().getTime() + seconds * 1000) },
  })

test('of unlinking, refreshing and handing out at once nothing is left alive at the upstream', async () => {
  for (let round = 0; round < 4; round += 1) {
    upstream.behavior.subject = `racing-${count}-${round}`
    const { token, member, identityId } = await givenHolder()
    await runOut(identityId, -5)
    const already = refreshes()
    const policy = { sealer: server.sealer, coolOffDays: 7 }
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all([
        exchange(token),
        exchange(token, {}, shop, peer.origin),
        unlinkIdentity(server.db, policy, { memberId: member.id, identityId }, server.now()),
      ]),
    )
    expect(refreshes() - already).toBeLessThanOrEqual(1)
    for (const answer of result.slice(0, 2)) expect([200, 400]).toContain(answer?.status)
    // What was handed out was so before the link ended.
    const types = typesOf({ result, ...changes })
    expect(types.lastIndexOf('upstream_token.handed_out')).toBeLessThan(types.indexOf('identity.unlinked'))
    server.advance(31)
    await server.app.dispatcher.drain()
    expect(await server.db.upstreamToken.count({ where: { id: identityId } })).toBe(0)
    expect(await server.db.delivery.count({ where: { sink: 'upstream' } })).toBe(0)
  }
})
