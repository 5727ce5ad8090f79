import { decodeJwt, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { tokenExchangeGrant } from '../../src/oidc/clients/profile.ts'
import { inTransaction } from '../../src/store/db.ts'
import {
  type GivenClient,
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { loginChannelOf } from '../support/line-simulator.ts'
import { acceptInvitation, apiToken, callApi } from '../support/link-api.ts'
import { changesOf, visitor } from '../support/linking.ts'
import { post } from '../support/post.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenLine, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let line: LineSimulator
let app: GivenClient
beforeAll(async () => {
  server = await startLinkingApp({ inProcessStore: true })
  upstream = await givenUpstream(server, { id: 'store', settings: { audiences: ['store-native'] } })
  line = await givenLine(server)
  await givenConnection(server, { id: 'foreign' })
  const metadata = { grant_types: ['authorization_code', 'refresh_token', tokenExchangeGrant] }
  const connections = ['store', 'line']
  app = await givenClient(server, {
    id: 'app',
    profile: 'native',
    redirectUris: ['com.example.app:/callback'],
    firstParty: true,
    ...{ connections, metadata },
  })
  await givenClient(server, {
    id: 'liff',
    profile: 'spa',
    redirectUris: ['https://liff.example.com/linked'],
    ...{ connections, metadata },
  })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), line.close()])
})

let count = 0
let member: GivenMember
beforeEach(async () => {
  upstream.behavior.subject = `app-shopper-${++count}`
  member = await givenMember(server)
})

type Call = Parameters<typeof callApi>[3]

const open = (body: object = {}, call: Call = {}) =>
  callApi(server, '/link-sessions', { client_id: 'app', connection: 'store', ...body }, call)

async function givenSession(body: object = {}, call: Call = {}) {
  const { status, json } = await open(body, call)
  expect(status).toBe(201)
  return { link_session: String(json.link_session), nonce: String(json.nonce) }
}

const present = (linkSession: string, idToken: string, more: object = {}, call: Call = {}) =>
  callApi(server, '/link-sessions/token', { link_session: linkSession, id_token: idToken, ...more }, call)

const liffToken = async (person = 'person-a') =>
  String((await line.control.mintLiffTokens(person, '1234567890-liffAppA')).idToken)

const nothing = { rows: {}, events: [] }
const codeOf = ({ status, json }: { status: number; json: Record<string, unknown> }) =>
  `${status} ${json.code}`

describe('no link session is opened', () => {
  test.each<[string, object, () => Promise<Call> | Call, string]>([
    ['for a client that does not exist', { client_id: 'nobody' }, () => ({}), '404 connection_unavailable'],
    [
      'for a connection the client has nothing to do with',
      { connection: 'foreign' },
      () => ({}),
      '404 connection_unavailable',
    ],
    [
      'for a connection that does not exist',
      { connection: 'nowhere' },
      () => ({}),
      '404 connection_unavailable',
    ],
    ['without saying for whom', { client_id: undefined }, () => ({}), '401 invalid_token'],
    [
      'that leads back to an address of somebody else',
      { return_to: 'https://evil.example/' },
      () => ({}),
      '400 redirect_uri_mismatch',
    ],
    [
      'that leads back to another client’s address',
      { return_to: 'https://liff.example.com/linked' },
      () => ({}),
      '400 redirect_uri_mismatch',
    ],
    ['with an account in it', { subject: 'somebody' }, () => ({}), '400 invalid_input'],
    [
      'from a page of another site',
      {},
      () => ({ headers: { origin: 'https://evil.example' } }),
      '403 forbidden',
    ],
    ['from a page without an origin', {}, () => ({ headers: { origin: 'null' } }), '403 forbidden'],
    [
      'from a page beside the client’s own',
      { client_id: 'liff' },
      () => ({ headers: { origin: 'https://liff.example.com:8443' } }),
      '403 forbidden',
    ],
    ['with a made-up access token', {}, () => ({ token: 'A'.repeat(43) }), '401 invalid_token'],
  ])('%s', async (_, body, call, code) => {
    const { result, ...changes } = await changesOf(server, async () => open(body, await call()))
    expect(codeOf(result)).toBe(code)
    expect(changes).toEqual(nothing)
  })

  test('for a client that keeps a secret, by anybody who knows its name', async () => {
    const shop = await givenClient(server, {
      connections: ['store'],
      metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
    })
    expect(codeOf(await open({ client_id: shop.id }))).toBe('404 connection_unavailable')
    const token = await apiToken(server, shop, 'links:begin')
    expect((await open({ client_id: undefined }, { token })).status).toBe(201)
  })

  test('for a client that was disabled, or through a connection that was', async () => {
    const gone = await givenClient(server, {
      profile: 'native',
      redirectUris: ['com.example.gone:/'],
      connections: ['foreign'],
    })
    await inTransaction(server.db, (tx) => disableClient(tx, gone.id, server.now()))
    expect(codeOf(await open({ client_id: gone.id, connection: 'foreign' }))).toBe(
      '404 connection_unavailable',
    )
    await givenConnection(server, { id: 'closed' })
    await inTransaction(server.db, (tx) => disableConnection(tx, 'closed', server.now()))
    expect(codeOf(await open({ connection: 'closed' }))).toBe('404 connection_unavailable')
  })
})

describe('an ID token is refused, its session is used up, and it is recorded', () => {
  const seconds = () => Math.floor(Date.now() / 1000)
  const secretOf = () => new TextEncoder().encode('a secret of one test')
  const claims = () => ({
    iss: upstream.issuer,
    sub: upstream.behavior.subject,
    aud: 'hitotsu',
    iat: seconds(),
    exp: seconds() + 600,
  })

  test.each<[string, (nonce: string) => Promise<string> | string, string, object]>([
    [
      'that is of another client of the upstream',
      () => upstream.mintIdToken({ aud: 'another-app' }),
      'aud',
      {},
    ],
    [
      'that is for a stranger besides',
      () => upstream.mintIdToken({ aud: ['hitotsu', 'stranger'] }),
      'aud',
      {},
    ],
    ['of another upstream', () => upstream.mintIdToken({ iss: 'https://other.example.com' }), 'iss', {}],
    [
      'that has run out',
      () => upstream.mintIdToken({ iat: seconds() - 300, exp: seconds() - 60 }),
      'exp',
      {},
    ],
    [
      'that is older than ten minutes',
      () => upstream.mintIdToken({ iat: seconds() - 700, exp: seconds() + 3000 }),
      'iat',
      {},
    ],
    [
      'signed by somebody else',
      async () => upstream.mintIdToken({}, {}, await strangersKey()),
      'signature',
      {},
    ],
    ['that is not signed', () => new UnsecuredJWT(claims()).encode(), 'signature', {}],
    [
      'signed with the client’s secret',
      () => new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(secretOf()),
      'signature',
      {},
    ],
    ['without a subject', () => upstream.mintIdToken({ sub: undefined }), 'sub', {}],
    ['whose subject is a number', () => upstream.mintIdToken({ sub: 7 }), 'sub', {}],
    ['that is another kind of token', () => upstream.mintIdToken({ events: {} }), 'malformed', {}],
    ['that is no token', () => 'nothing of the kind', 'malformed', {}],
    [
      'with the nonce of another sign-in',
      () => upstream.mintIdToken({ nonce: 'of another sign-in' }),
      'nonce',
      {},
    ],
    ['without the nonce it is said to have', () => upstream.mintIdToken(), 'nonce', { nonce: 'session' }],
    [
      'with a nonce of the caller’s own',
      () => upstream.mintIdToken({ nonce: 'own' }),
      'nonce',
      { nonce: 'own' },
    ],
  ])('%s', async (_, mint, fault, more) => {
    const session = await givenSession()
    const said = 'nonce' in more && more.nonce === 'session' ? { nonce: session.nonce } : more
    const idToken = await mint(session.nonce)
    const { result, rows, events } = await changesOf(server, () =>
      present(session.link_session, idToken, said),
    )
    expect(result).toMatchObject({
      status: 400,
      json: { code: 'id_token_refused', fields: { id_token: fault } },
    })
    expect(rows).toEqual({})
    const data = { connectionId: 'store', clientId: 'app', way: 'app_token', reason: `id_token_${fault}` }
    expect(events).toEqual([{ type: 'link.refused', memberId: null, data }])
    expect(codeOf(await present(session.link_session, await upstream.mintIdToken()))).toBe(
      '410 link_session_over',
    )
  })

  const strangersKey = async () =>
    exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey)

  test('that was presented before, in whatever session', async () => {
    const idToken = await upstream.mintIdToken()
    expect((await present((await givenSession()).link_session, idToken)).status).toBe(201)
    const second = await givenSession({ client_id: 'liff' })
    const { json } = await present(second.link_session, idToken)
    expect(json).toMatchObject({ code: 'id_token_refused', fields: { id_token: 'used' } })
  })

  test('of twenty presentations of one token at once, one is taken', async () => {
    const idToken = await upstream.mintIdToken()
    const sessions = await Promise.all(Array.from({ length: 20 }, () => givenSession()))
    const answers = await Promise.all(sessions.map((session) => present(session.link_session, idToken)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
  })

  test('LINE: one of web login, which is signed with the channel secret', async () => {
    const { secret } = loginChannelOf(line)
    const of = decodeJwt(await liffToken())
    const idToken = await new SignJWT(of)
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .sign(new TextEncoder().encode(secret))
    const { link_session: session } = await givenSession({ connection: 'line' })
    expect((await present(session, idToken)).json.fields).toEqual({ id_token: 'signature' })
  })
})

describe('a link session is of no use', () => {
  test('that nobody opened', async () => {
    const idToken = await upstream.mintIdToken()
    expect(codeOf(await present('A'.repeat(43), idToken))).toBe('410 link_session_over')
  })

  test.each<[string, object]>([
    ['a profile', { id_token: undefined, profile: { userId: 'U1', displayName: 'Hana' } }],
    ['a user id', { user_id: 'U4af4980629' }],
    ['a subject', { sub: 'somebody' }],
    ['the client of another session', { client_id: 'liff' }],
  ])('for %s in place of, or beside, the raw token', async (_, more) => {
    const { link_session: session } = await givenSession()
    const { result, ...changes } = await changesOf(server, async () =>
      present(session, await upstream.mintIdToken(), more),
    )
    expect(codeOf(result)).toBe('400 invalid_input')
    expect(changes).toEqual(nothing)
  })

  test('from a page of another site, which learns nothing', async () => {
    const { link_session: session } = await givenSession({ client_id: 'liff' })
    const answer = await present(
      session,
      await upstream.mintIdToken(),
      {},
      { headers: { origin: 'https://evil.example' } },
    )
    expect(codeOf(answer)).toBe('403 forbidden')
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

describe('the address that follows', () => {
  async function givenAddress(body: object = {}, call: Call = {}): Promise<string> {
    const { link_session: session } = await givenSession(body, call)
    const { status, json } = await present(session, await upstream.mintIdToken({ name: 'Hana upstream' }))
    expect(status).toBe(201)
    return String(json.url)
  }

  test('stolen after its owner went on, is refused', async () => {
    const url = await givenAddress()
    await acceptInvitation(visitor(), url, member)
    const { result, rows } = await changesOf(server, () => visitor().open(url))
    expect(result.status).toBe(410)
    expect(rows).toEqual({})
  })

  test('forwarded to somebody else, links nothing before they have signed in and seen whose account it is', async () => {
    const url = await givenAddress()
    const browser = visitor()
    const { result: page, rows } = await changesOf(server, () => acceptInvitation(browser, url, member))
    expect(rows).toEqual({})
    expect(page.html).toContain('Hana upstream')
    const declined = await changesOf(server, () => browser.submit(page, '/decline'))
    expect(declined).toMatchObject({ rows: {}, events: [{ type: 'link.declined' }] })
  })

  test('of a session bound to a member, is refused to every other, and over', async () => {
    const holder = await givenMember(server)
    const known = `known-${count}`
    await givenIdentity(server, { memberId: holder.id, connectionId: 'line', subject: known })
    await server.db.federatedIdentity.updateMany({
      where: { subject: known },
      data: { subject: String(decodeJwt(await liffToken()).sub) },
    })
    const form = {
      grant_type: tokenExchangeGrant,
      subject_token: await liffToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      connection: 'line',
    }
    const exchanged = await post(server, '/token', form, { client: app })
    expect(exchanged.status).toBe(200)
    const token = String(exchanged.json.access_token)
    expect(codeOf(await open({ client_id: 'liff' }, { token }))).toBe('401 invalid_token')

    const url = await givenAddress({}, { token })
    const browser = visitor()
    const { result, rows, events } = await changesOf(server, () => acceptInvitation(browser, url, member))
    expect(result).toMatchObject({ status: 403 })
    expect(result.html).toContain('signed in as another member')
    expect(rows).toEqual({})
    expect(events.at(-1)).toMatchObject({
      type: 'link.refused',
      memberId: holder.id,
      data: { reason: 'wrong_member' },
    })
    const again = await browser.open(result.url)
    expect(again.html).not.toContain('Hana upstream')

    const own = visitor()
    const page = await acceptInvitation(own, await givenAddress({}, { token }), holder)
    await own.submit(page, '/agree')
    expect(await server.db.federatedIdentity.count({ where: { memberId: holder.id } })).toBe(2)
  })
})

test('after ten minutes a link session is over', async () => {
  const { link_session: session } = await givenSession()
  server.advance(601)
  expect(codeOf(await present(session, await upstream.mintIdToken()))).toBe('410 link_session_over')
})

test('who opens link sessions all the time is told to wait', async () => {
  const headers = { 'x-forwarded-for': '198.19.1.1' }
  for (let batch = 0; batch < 30; batch++)
    await Promise.all(Array.from({ length: 20 }, () => open({}, { headers })))
  expect(codeOf(await open({}, { headers }))).toBe('429 too_many_requests')
  expect((await open()).status).toBe(201)
})
