import { createRemoteJWKSet, decodeJwt, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { disableConnection, enableConnection } from '../../src/connections/connection.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { disableConnectionAndSessions } from '../../src/linking/disable-connection.ts'
import { markNeedsRelink } from '../../src/linking/unlink/needs-relink.ts'
import { endSessions } from '../../src/members/member.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { tokenExchangeGrant } from '../../src/oidc/clients/profile.ts'
import { inTransaction } from '../../src/store/db.ts'
import {
  type GivenClient,
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
  givenResource,
} from '../support/given.ts'
import { visitor } from '../support/linking.ts'
import { type Answer, post, send } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'
import { givenLine, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

const idTokenType = 'urn:ietf:params:oauth:token-type:id_token'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const scope = 'openid offline_access'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let upstream: Awaited<ReturnType<typeof givenUpstream>>
let api: string
let app: GivenClient
let member: GivenMember
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  upstream = await givenUpstream(server, { id: 'store', settings: { audiences: ['store-native'] } })
  api = await givenResource(server)
  app = await givenApp({ firstParty: true })
  member = await givenLinked('member-1')
})
afterAll(async () => {
  await Promise.all([line.close(), upstream.close()])
  await server.close()
})

function givenApp(input: Parameters<typeof givenClient>[1] = {}): Promise<GivenClient> {
  return givenClient(server, {
    profile: 'native',
    redirectUris: ['com.example.app:/callback'],
    connections: ['line', 'store'],
    resources: [{ id: api }],
    metadata: { grant_types: ['authorization_code', 'refresh_token', tokenExchangeGrant] },
    ...input,
  })
}

/** A member with this account at the plain upstream. */
async function givenLinked(subject: string): Promise<GivenMember> {
  const linked = await givenMember(server)
  await givenIdentity(server, { memberId: linked.id, connectionId: 'store', subject })
  return linked
}

const request = (idToken: string, form: Record<string, string> = {}) => ({
  grant_type: tokenExchangeGrant,
  subject_token: idToken,
  subject_token_type: idTokenType,
  connection: 'store',
  ...form,
})

const exchange = (idToken: string, form: Record<string, string> = {}, client = app, origin = server.issuer) =>
  post(server, '/token', request(idToken, form), { client, origin })

const refusal = ({ status, json }: Answer) => [status, json.error, json.error_description]
const badToken = (fault: string) => [400, 'invalid_request', `subject_token is not accepted: ${fault}`]
const notLinked = [400, 'invalid_grant', 'the account is not linked to a member']
const now = () => Math.floor(Date.now() / 1000)

const refresh = (token: unknown, client = app) =>
  post(server, '/token', { grant_type: 'refresh_token', refresh_token: String(token) }, { client })

const userinfo = (token: unknown) =>
  send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })

const eventsOf = (memberId: string) =>
  server.db.event.findMany({ where: { memberId, type: 'token.exchanged' }, select: { data: true } })

const liffToken = async (person: string) =>
  String((await line.control.mintLiffTokens(person, '1234567890-liffAppA')).idToken)

async function otherKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return exportJWK(privateKey)
}

test('a token from before the upstream withdrew the account gives nothing, one from after it does', async () => {
  const subject = 'withdrawn'
  const { id: memberId } = await givenLinked(subject)
  const { id } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId } })
  const sessionsValidFrom = new Date((now() - 600) * 1000)
  await server.db.member.update({ where: { id: memberId }, data: { sessionsValidFrom } })
  const before = await upstream.mintIdToken({ sub: subject, iat: now() - 60 })
  const since = new Date((now() - 30) * 1000)
  await inTransaction(server.db, (tx) => markNeedsRelink(tx, id, 'consent_revoked', since))
  expect(refusal(await exchange(before))).toEqual([
    400,
    'invalid_request',
    'subject_token is from before the upstream withdrew the account',
  ])
  expect((await exchange(await upstream.mintIdToken({ sub: subject }))).status).toBe(200)
})

describe('RFC 8693 section 2.1: the request', () => {
  test.each<[string, Record<string, string>, string]>([
    ['without a subject_token', { subject_token: '' }, 'invalid_request'],
    ['with an access token as subject', { subject_token_type: accessTokenType }, 'invalid_request'],
    [
      'with a JWT of no known kind',
      { subject_token_type: `${accessTokenType.slice(0, -12)}jwt` },
      'invalid_request',
    ],
    ['with an actor', { actor_token: 'x', actor_token_type: idTokenType }, 'invalid_request'],
    ['for another kind of token', { requested_token_type: idTokenType }, 'invalid_request'],
    ['for an audience', { audience: 'https://api.example.com' }, 'invalid_target'],
    ['for a resource the client may not have', { resource: 'https://x.example' }, 'invalid_target'],
    ['for a scope the client may not have', { scope: 'openid linked_accounts' }, 'invalid_scope'],
  ])('%s is refused', async (_, form, error) => {
    const idToken = await upstream.mintIdToken()
    const answer = await exchange(idToken, form)
    expect([answer.status, answer.json.error]).toEqual([400, error])
    // Nothing was used up by it.
    expect((await exchange(idToken)).status).toBe(200)
  })

  test('of a client that does not have this grant is refused', async () => {
    const answer = await exchange(await upstream.mintIdToken(), {}, await givenClient(server))
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('of a confidential client without its secret is refused', async () => {
    const web = await givenApp({ profile: 'web', redirectUris: ['https://app.example.com/callback'] })
    const answer = await exchange(await upstream.mintIdToken(), {}, { ...web, secret: 'wrong' })
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  test.each(['machine', 'device', 'fapi2'] as const)(
    'a client of profile %s cannot have this grant',
    (profile) => {
      const metadata = { grant_types: [tokenExchangeGrant] }
      const input = { id: 'x1', name: { ja: 'x', en: 'x' }, profile, metadata }
      const { error } = newClient.safeParse(input)
      expect(error?.issues.map(({ message }) => message)).toContainEqual(
        expect.stringContaining(`${profile} cannot have ${tokenExchangeGrant}`),
      )
    },
  )
})

describe('OpenID Connect Core 3.1.3.7: an ID token that an application presents', () => {
  test.each<[string, () => Promise<string>, string]>([
    ['for another client of the upstream', () => upstream.mintIdToken({ aud: 'another' }), 'aud'],
    ['for us and a stranger', () => upstream.mintIdToken({ aud: ['hitotsu', 'another'] }), 'aud'],
    ['issued to a stranger', () => upstream.mintIdToken({ azp: 'another' }), 'aud'],
    ['of another issuer', () => upstream.mintIdToken({ iss: 'https://evil.example' }), 'iss'],
    ['that has expired', () => upstream.mintIdToken({ iat: now() - 500, exp: now() - 60 }), 'exp'],
    ['from eleven minutes ago', () => upstream.mintIdToken({ iat: now() - 660, exp: now() + 60 }), 'iat'],
    ['from the future', () => upstream.mintIdToken({ iat: now() + 120 }), 'iat'],
    ['without an iat', () => upstream.mintIdToken({ iat: undefined }), 'iat'],
    ['without an exp', () => upstream.mintIdToken({ exp: undefined }), 'exp'],
    ['without a sub', () => upstream.mintIdToken({ sub: undefined }), 'sub'],
    ['with an unusable sub', () => upstream.mintIdToken({ sub: 'member\u00a01' }), 'sub'],
    ['with a forged signature', async () => upstream.mintIdToken({}, {}, await otherKey()), 'signature'],
    ['that names an unknown key', () => upstream.mintIdToken({}, { kid: 'unknown' }), 'signature'],
    ['that is a logout token', () => upstream.mintIdToken({}, { typ: 'logout+jwt' }), 'malformed'],
    ['that is an access token', () => upstream.mintIdToken({}, { typ: 'at+jwt' }), 'malformed'],
    ['with events, as a logout token has', () => upstream.mintIdToken({ events: {} }), 'malformed'],
    ['that is no JWT', async () => 'nonsense', 'malformed'],
    ['that is signed with no key', () => unsigned(), 'signature'],
    [
      'that is signed with the secret of the connection',
      () => signedWith('a secret of one test'),
      'signature',
    ],
    [
      'that is signed with another secret',
      () => signedWith('another secret altogether, 32 bytes'),
      'signature',
    ],
  ])('%s is refused', async (_, make, fault) => {
    expect(refusal(await exchange(await make()))).toEqual(badToken(fault))
  })

  test('without the nonce that the application asked for is refused', async () => {
    const idToken = await upstream.mintIdToken({ nonce: 'theirs' })
    expect(refusal(await exchange(idToken, { nonce: 'mine' }))).toEqual(badToken('nonce'))
    expect(refusal(await exchange(await upstream.mintIdToken(), { nonce: 'mine' }))).toEqual(
      badToken('nonce'),
    )
    expect((await exchange(idToken, { nonce: 'theirs' })).status).toBe(200)
  })

  test('for another application of the connection is good', async () => {
    const idToken = await upstream.mintIdToken({ aud: 'store-native', azp: 'store-native' })
    expect((await exchange(idToken)).status).toBe(200)
  })

  test('is good once, at one of two processes, however its signature is written', async () => {
    const idToken = await upstream.mintIdToken()
    const peer = await server.startPeer()
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => exchange(idToken, {}, app, i % 2 ? peer.origin : server.issuer)),
    )
    await peer.close()
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const used = [400, 'invalid_request', 'subject_token was already used']
    expect(answers.filter(({ status }) => status !== 200).map(refusal)).toEqual(Array(9).fill(used))
    expect(refusal(await exchange(withOtherSignature(idToken)))).toEqual(used)
  })
})

/** alg none (RFC 8725 section 3.2). */
async function unsigned(): Promise<string> {
  const [, claims] = (await upstream.mintIdToken()).split('.')
  return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`
}

async function signedWith(secret: string): Promise<string> {
  const claims = decodeJwt(await upstream.mintIdToken())
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret))
}

/** ECDSA: (r, n - s) is as good a signature as (r, s). */
function withOtherSignature(jwt: string): string {
  const [header, claims, signature = ''] = jwt.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const s = n - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  return [header, claims, other.toString('base64url')].join('.')
}

describe('RFC 8693 section 2.2.2: who is not given tokens', () => {
  test('a client that is not allowed the connection, whether there is one or not', async () => {
    const client = await givenApp({ connections: ['line'], firstParty: true })
    const refused = [400, 'invalid_request', 'the connection is not available to this client']
    for (const connection of ['store', 'nowhere'])
      expect(refusal(await exchange(await upstream.mintIdToken(), { connection }, client))).toEqual(refused)
  })

  test('anybody while the connection is disabled, or may not sign members in', async () => {
    const idToken = await upstream.mintIdToken()
    const refused = [400, 'invalid_request', 'the connection is not available to this client']
    const change = (data: object) => server.db.connection.update({ where: { id: 'store' }, data })
    await inTransaction(server.db, (tx) => disableConnection(tx, 'store', server.now()))
    expect(refusal(await exchange(idToken))).toEqual(refused)
    await inTransaction(server.db, (tx) => enableConnection(tx, 'store', server.now()))
    await change({ allowSignIn: false })
    expect(refusal(await exchange(idToken))).toEqual(refused)
    await change({ allowSignIn: true })
    expect((await exchange(idToken)).status).toBe(200)
  })

  test('who has not linked the account: nothing is made, and the token is good again once they have', async () => {
    const idToken = await upstream.mintIdToken({ sub: 'newcomer' })
    const before = await server.db.member.count()
    expect(refusal(await exchange(idToken))).toEqual(notLinked)
    expect(await server.db.member.count()).toBe(before)
    expect(await server.db.federatedIdentity.count({ where: { subject: 'newcomer' } })).toBe(0)
    await givenLinked('newcomer')
    expect((await exchange(idToken)).status).toBe(200)
  })

  test('who has the same subject at another issuer', async () => {
    await givenConnection(server, { id: 'elsewhere' })
    const { id: memberId } = await givenMember(server)
    await givenIdentity(server, { memberId, connectionId: 'elsewhere', subject: 'namesake' })
    expect(refusal(await exchange(await upstream.mintIdToken({ sub: 'namesake' })))).toEqual(notLinked)
  })

  test('a suspended member', async () => {
    const { id } = await givenLinked('suspended')
    await inTransaction(server.db, (tx) => suspendMember(tx, id, undefined, server.now()))
    const idToken = await upstream.mintIdToken({ sub: 'suspended' })
    const refused = [400, 'invalid_grant', 'the member cannot sign in']
    expect(refusal(await exchange(idToken))).toEqual(refused)
    expect(await eventsOf(id)).toEqual([])
  })

  test('a member who has ended all sessions since, with a token from before', async () => {
    const { id } = await givenLinked('ended')
    const idToken = await upstream.mintIdToken({ sub: 'ended' })
    await endSessions(server.db, id, 'member', server.now())
    const answer = await exchange(idToken)
    expect(refusal(answer)).toEqual([
      400,
      'invalid_request',
      'subject_token is from before the member ended all sessions',
    ])
  })

  test('a client that the member has not agreed to; nobody is asked here', async () => {
    const client = await givenApp()
    const refused = [400, 'invalid_grant', 'the member has not agreed to this client']
    const idToken = await upstream.mintIdToken()
    expect(refusal(await exchange(idToken, {}, client))).toEqual(refused)
    expect(await server.db.grant.count({ where: { clientId: client.id } })).toBe(0)
  })

  test('anybody while the upstream cannot be reached: it is worth another try', async () => {
    const away = await givenConnection(server, { id: 'away', issuer: 'http://127.0.0.1:9' })
    server.privateHosts.push('127.0.0.1:9')
    const client = await givenApp({ connections: [away.id], firstParty: true })
    const answer = await exchange(await upstream.mintIdToken(), { connection: away.id }, client)
    expect([answer.status, answer.json.error]).toEqual([503, 'temporarily_unavailable'])
  })
})

describe('RFC 8693 section 2.2.1: what the member’s application is given', () => {
  test('tokens for the member, which are written down without the token they were exchanged for', async () => {
    const as = await givenLinked('member-2')
    const answer = await exchange(await upstream.mintIdToken({ sub: 'member-2' }), { scope })
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json).toEqual({
      access_token: expect.any(String),
      issued_token_type: accessTokenType,
      token_type: 'Bearer',
      expires_in: 3600,
      scope,
      refresh_token: expect.any(String),
      id_token: expect.any(String),
    })
    expect((await userinfo(answer.json.access_token)).json.sub).toBe(as.id)
    const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
    const idToken = await jwtVerify(String(answer.json.id_token), keys, {
      issuer: server.issuer,
      audience: app.id,
    })
    expect(idToken.payload.sub).toBe(as.id)
    expect(await eventsOf(as.id)).toEqual([
      {
        data: {
          clientId: app.id,
          connectionId: 'store',
          identityId: expect.any(String),
          scopes: ['openid', 'offline_access'],
        },
      },
    ])
  })

  test('the connection need not be named where the token points to one alone', async () => {
    const { connection: _, ...form } = request(await upstream.mintIdToken())
    expect((await post(server, '/token', form, { client: app })).status).toBe(200)
    await givenConnection(server, { id: 'twin', issuer: upstream.issuer })
    const client = await givenApp({ connections: ['store', 'twin'], firstParty: true })
    const unclear = await post(server, '/token', form, { client })
    expect(unclear.json.error_description).toMatch(/^connection is required/)
  })

  test('who asks for nothing learns who it is, and no more', async () => {
    const { json } = await exchange(await upstream.mintIdToken())
    expect(json.scope).toBe('openid')
    expect(json).not.toHaveProperty('refresh_token')
    expect(Object.keys((await userinfo(json.access_token)).json)).toEqual(['sub'])
  })

  test('of what is asked for, what the member has agreed to', async () => {
    const client = await givenClient(server, {
      connections: ['store'],
      metadata: { grant_types: ['authorization_code', 'refresh_token', tokenExchangeGrant] },
    })
    await signIn(await relyingParty(server, client), visitor(), member, { scope: 'openid email' })
    const asked = { scope: 'openid email profile offline_access' }
    const { json } = await exchange(await upstream.mintIdToken(), asked, client)
    expect(json.scope).toBe('openid email')
    expect(json).not.toHaveProperty('refresh_token')
    expect((await userinfo(json.access_token)).json).toMatchObject({ email: member.email })
  })

  test('a JWT for a resource (RFC 9068), which says when the upstream vouched', async () => {
    const iat = now() - 120
    const { id: memberId } = await givenLinked('earlier')
    await server.db.member.update({
      where: { id: memberId },
      data: { sessionsValidFrom: new Date((iat - 10) * 1000) },
    })
    const idToken = await upstream.mintIdToken({ sub: 'earlier', iat })
    const { json } = await exchange(idToken, { scope: 'openid orders:read', resource: api })
    expect(decodeJwt(String(json.access_token))).toMatchObject({
      sub: memberId,
      aud: api,
      client_id: app.id,
      scope: 'orders:read',
      auth_time: iat,
    })
    expect(json.expires_in).toBe(600)
  })

  test('RFC 9449 section 5: tokens bound to the key of a proof, and a proof works once', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const claims = { jti: crypto.randomUUID(), htm: 'POST', htu: `${server.issuer}/token`, iat: now() }
    const jwk = await exportJWK(publicKey)
    const proof = await new SignJWT(claims)
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .sign(privateKey)
    const bound = (idToken: string) =>
      post(server, '/token', request(idToken, { scope }), { client: app, headers: { dpop: proof } })
    const { json } = await bound(await upstream.mintIdToken())
    expect(json.token_type).toBe('DPoP')
    expect((await userinfo(json.access_token)).status).toBeGreaterThanOrEqual(400)
    // RFC 9449 section 5: the refresh token of a public client takes the same key.
    expect((await refresh(json.refresh_token)).json.error).toBe('invalid_grant')
    const idToken = await upstream.mintIdToken()
    expect((await bound(idToken)).json.error).toBe('invalid_grant')
    expect((await exchange(idToken)).status).toBe(200)
  })

  test('a refresh token, until the connection is disabled', async () => {
    const { json } = await exchange(await upstream.mintIdToken(), { scope })
    const next = await refresh(json.refresh_token)
    expect(next.status).toBe(200)
    onTestFinished(async () => {
      await inTransaction(server.db, (tx) => enableConnection(tx, 'store', server.now()))
    })
    await disableConnectionAndSessions(server.db, 'store', server.now())
    expect((await refresh(next.json.refresh_token)).json.error).toBe('invalid_grant')
    expect((await userinfo(next.json.access_token)).status).toBe(401)
  })
})

describe('LINE: the ID token of a LIFF app', () => {
  test('of a channel that is not ours, or that was forged, is refused', async () => {
    const [header, claims, signature = ''] = (await liffToken('person-a')).split('.')
    const forged = { ...decodeJwt(`${header}.${claims}.${signature}`), sub: 'U0' }
    const changed = `${header}.${Buffer.from(JSON.stringify(forged)).toString('base64url')}.${signature}`
    expect(refusal(await exchange(changed, { connection: 'line' }))).toEqual(badToken('signature'))
    expect(refusal(await exchange(await liffToken('person-a')))).toEqual(badToken('signature'))
  })

  test('is told apart from that of the web login, which is signed with the secret of the channel', async () => {
    const claims = decodeJwt(await liffToken('person-a'))
    const { secret = '' } = line.simulator.state.channels['1234567890'] ?? {}
    const web = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(secret))
    expect(refusal(await exchange(web, { connection: 'line' }))).toEqual(badToken('signature'))
  })

  test('gives the tokens of the member who has linked LINE, and of nobody before', async () => {
    const idToken = await liffToken('person-a')
    expect(refusal(await exchange(idToken, { connection: 'line' }))).toEqual(notLinked)
    const { sub: subject = '' } = decodeJwt(idToken)
    const { id: memberId } = await givenMember(server)
    await givenIdentity(server, { memberId, connectionId: 'line', subject })
    const { json } = await exchange(idToken, { connection: 'line' })
    expect((await userinfo(json.access_token)).json.sub).toBe(memberId)
    expect(server.logged()).not.toContain(idToken)
  })
})
