import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { dpopProof, newKeys } from '../support/fapi.ts'
import {
  type GivenClient,
  type GivenMember,
  givenClient,
  givenConnection,
  givenMember,
} from '../support/given.ts'
import { acceptInvitation, apiToken, callApi, givenShop } from '../support/link-api.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { post } from '../support/post.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let shop: GivenClient
let token: string
beforeAll(async () => {
  server = await startLinkingApp({ inProcessStore: true })
  shop = await givenShop(server, 'cart')
})
afterAll(() => server.close())

let count = 0
let member: GivenMember
let subject: string
beforeEach(async () => {
  token = await apiToken(server, shop)
  member = await givenMember(server)
  subject = `shopper-${++count}`
})

const ticket = (more: object = {}) => ({
  connection: 'cart',
  subject,
  profile: { name: 'Cart shopper', email: 'cart@example.com' },
  purpose: 'link',
  ...more,
})

const ask = (body: unknown, credentials: Parameters<typeof callApi>[3] = { token }) =>
  callApi(server, '/link-tickets', body, credentials)

const askToken = (client: GivenClient, resource: string) =>
  post(server, '/token', { grant_type: 'client_credentials', resource, scope: 'links:vouch' }, { client })

async function givenTicket(more: object = {}): Promise<string> {
  const { status, json } = await ask(ticket(more))
  expect(status).toBe(201)
  return String(json.url)
}

const nothing = { rows: {}, events: [] }
const refusal = (
  reason: string,
  rest: object = { connectionId: 'cart', clientId: shop.id, way: 'link_ticket' },
) => ({
  type: 'link.refused',
  memberId: null,
  data: { ...rest, reason },
})

/** The Authorization header that credentials amount to. */
const sentWith = (credentials: { token?: string; headers?: Record<string, string> }) =>
  credentials.token === undefined ? (credentials.headers?.authorization ?? '') : `Bearer ${credentials.token}`

describe('nobody gets a ticket', () => {
  test.each([
    ['without a token', () => ({})],
    ['with a made-up token', () => ({ token: `cc.${'A'.repeat(43)}` })],
    [
      'with the secret of the client in place of a token',
      () => ({
        headers: { authorization: `Basic ${Buffer.from(`${shop.id}:${shop.secret}`).toString('base64')}` },
      }),
    ],
    ['with the token in the address', () => ({ headers: { 'x-access-token': token } })],
    [
      'with a bearer token presented as bound to a key',
      () => ({ headers: { authorization: `DPoP ${token}` } }),
    ],
  ])('%s', async (_, credentials) => {
    const { result, ...changes } = await changesOf(server, () => ask(ticket(), credentials()))
    expect(result).toMatchObject({ status: 401, json: { code: 'invalid_token' } })
    // RFC 6750 section 3: who brings no token learns of no error.
    const isToken = /^(Bearer|DPoP) /.test(sentWith(credentials()))
    const challenge = isToken ? 'Bearer error="invalid_token"' : 'Bearer'
    expect(result.headers['www-authenticate']).toBe(challenge)
    expect(changes).toEqual(nothing)
  })

  test('with a token that is for another API', async () => {
    const { id: resource } = await server.db.resource.create({
      data: {
        id: 'https://orders.example.com',
        name: { ja: '注文', en: 'Orders' },
        scopes: ['links:vouch'],
        tokenFormat: 'opaque',
        createdAt: server.now(),
        updatedAt: server.now(),
      },
    })
    const other = await givenClient(server, { profile: 'machine', resources: [{ id: resource }] })
    const { json } = await askToken(other, resource)
    expect((await ask(ticket(), { token: String(json.access_token) })).status).toBe(401)
  })

  test('with a token that is bound to a key, unless that key is proved for this very request', async () => {
    const keys = await newKeys()
    const [htm, htu] = ['POST', `${server.issuer}/api/link-tickets`]
    const atToken = await dpopProof(keys, { htm, htu: `${server.issuer}/token` })
    const form = { grant_type: 'client_credentials', resource: `${server.issuer}/api`, scope: 'links:vouch' }
    const { json } = await post(server, '/token', form, { client: shop, headers: { dpop: atToken } })
    const bound = String(json.access_token)
    const askWith = (scheme: string, dpop?: string) =>
      ask(ticket(), { headers: { authorization: `${scheme} ${bound}`, ...(dpop && { dpop }) } })

    const proof = await dpopProof(keys, { htm, htu, token: bound })
    const faulty = [
      await askWith('Bearer'),
      await askWith('DPoP'),
      await askWith('Bearer', proof),
      await askWith('DPoP', await dpopProof(await newKeys(), { htm, htu, token: bound })),
      await askWith('DPoP', await dpopProof(keys, { htm, htu: `${server.issuer}/token`, token: bound })),
      await askWith('DPoP', await dpopProof(keys, { htm, htu, token: token })),
    ]
    expect(faulty.map(({ status }) => status)).toEqual(faulty.map(() => 401))
    expect((await askWith('DPoP', proof)).status).toBe(201)
    expect((await askWith('DPoP', proof)).status).toBe(401)
  })

  test('whose client vouches for nothing: it is not even given a token', async () => {
    const other = await givenClient(server, { profile: 'machine' })
    const answer = await askToken(other, `${server.issuer}/api`)
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_target' } })
  })

  test('for a connection that another client vouches for', async () => {
    await givenShop(server, 'rival')
    const { result, rows, events } = await changesOf(server, () => ask(ticket({ connection: 'rival' })))
    expect(result).toMatchObject({ status: 403, json: { code: 'not_vouched_for' } })
    const trail = { connectionId: 'rival', clientId: shop.id, way: 'link_ticket' }
    expect({ rows, events }).toEqual({ rows: {}, events: [refusal('not_vouched_for', trail)] })
  })

  test('for an upstream that can prove its accounts by itself', async () => {
    await givenConnection(server, { id: 'provider' })
    const careless = await givenClient(server, {
      profile: 'machine',
      vouchConnections: ['provider'],
    })
    const { status, json } = await ask(ticket({ connection: 'provider' }), {
      token: await apiToken(server, careless),
    })
    expect({ status, code: json.code }).toEqual({ status: 403, code: 'not_vouched_for' })
  })

  test('once the right was taken back, whatever token is about', async () => {
    const second = await givenShop(server, 'ended')
    const live = await apiToken(server, second)
    await server.db.clientConnection.updateMany({ where: { clientId: second.id }, data: { vouches: false } })
    await server.db.client.update({ where: { id: second.id }, data: { updatedAt: server.now() } })
    server.advance(2)
    const { status, json } = await ask(ticket({ connection: 'ended' }), { token: live })
    expect({ status, code: json.code }).toEqual({ status: 403, code: 'insufficient_scope' })
  })

  test.each<[string, object | string]>([
    ['without a subject', { connection: 'cart', purpose: 'link' }],
    ['with an empty subject', { subject: '' }],
    ['with a subject of spaces', { subject: 'a b' }],
    ['with a subject that is a number', { subject: 7 }],
    ['for another purpose', { purpose: 'sign_in' }],
    ['without a purpose', { purpose: undefined }],
    [
      'with a word that its address is verified',
      { profile: { email: 'a@example.com', email_verified: true } },
    ],
    ['with a member to link to', { member: 'me' }],
    ['that is no JSON', '{"connection":'],
    ['that is a list', '[]'],
  ])('%s', async (_, more) => {
    const body = typeof more === 'string' ? more : 'connection' in more ? more : ticket(more)
    const { result, ...changes } = await changesOf(server, () => ask(body))
    expect(result).toMatchObject({ status: 400, json: { code: 'invalid_input' } })
    expect(changes).toEqual(nothing)
  })

  test.each([
    ['that is not registered', 'https://evil.example/'],
    ['that begins like a registered one', `https://cart-backend.example.com/callback/more`],
    ['with a query on top', `https://cart-backend.example.com/callback?next=evil`],
    ['that runs a script', 'javascript:alert(1)'],
  ])('that leads back to an address %s', async (_, address) => {
    const { status, json } = await ask(ticket({ return_to: address }))
    expect({ status, code: json.code }).toEqual({ status: 400, code: 'redirect_uri_mismatch' })
  })
})

describe('a ticket is of no use', () => {
  test('that nobody has made: the page tells nothing, and the try is recorded', async () => {
    const url = `${server.issuer}/invitation/${'A'.repeat(43)}`
    const { result, rows, events } = await changesOf(server, () => visitor().open(url))
    expect(result.status).toBe(410)
    expect({ rows, events }).toEqual({ rows: {}, events: [refusal('invitation_unknown', {})] })
  })

  test('after ten minutes', async () => {
    const url = await givenTicket()
    server.advance(601)
    const { result, rows, events } = await changesOf(server, () => visitor().open(url))
    expect(result.status).toBe(410)
    expect({ rows, events }).toEqual({ rows: {}, events: [refusal('invitation_expired')] })
  })

  test('in another browser than the one that went on first, of the same member or not', async () => {
    const url = await givenTicket()
    const first = visitor()
    const second = await signInTo(server, member)
    const early = await second.open(url)
    await acceptInvitation(first, url, member)
    const { result, rows, events } = await changesOf(server, async () => [
      await second.open(url),
      await second.submit(early, '/accept'),
      await second.submit(early, '/decline'),
    ])
    expect(result.map(({ status }) => status)).toEqual([410, 410, 410])
    expect(rows).toEqual({})
    expect(events).toEqual(Array.from({ length: 3 }, () => refusal('invitation_used')))
  })

  test('a second time: who has agreed is led to where it has led', async () => {
    const url = await givenTicket()
    const browser = visitor()
    await browser.submit(await acceptInvitation(browser, url, member), '/agree')
    const { result, ...changes } = await changesOf(server, () => browser.open(url))
    expect(result.url.pathname).toBe('/account')
    expect(changes).toEqual(nothing)
  })

  test('once it was declined', async () => {
    const url = await givenTicket()
    const browser = visitor()
    const page = await browser.open(url)
    expect(typesOf(await changesOf(server, () => browser.submit(page, '/decline')))).toEqual([
      'link.declined',
    ])
    const { result, rows, events } = await changesOf(server, () => browser.submit(page, '/accept'))
    expect(result.status).toBe(410)
    expect({ rows, events }).toEqual({ rows: {}, events: [refusal('invitation_used')] })
  })

  test('for who merely looks: no address alone binds, signs in or links', async () => {
    const url = await givenTicket()
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all([visitor().open(url), visitor().open(url), visitor().open(`${url}/accept`)]),
    )
    expect(result.map(({ status }) => status).slice(0, 2)).toEqual([200, 200])
    expect(changes).toEqual(nothing)
    const page = await acceptInvitation(visitor(), url, member)
    expect(page.html).toContain('Cart shopper')
  })

  test('without a fresh sign-in: an open session alone does not link', async () => {
    const browser = await signInTo(server, member)
    server.advance(601)
    token = await apiToken(server, shop)
    const page = await browser.submit(await browser.open(await givenTicket()), '/accept')
    expect(page.url.pathname).toMatch(/\/sign-in$/)
  })

  test('when the connection was disabled meanwhile', async () => {
    const third = await givenShop(server, 'closing')
    const { json } = await ask(ticket({ connection: 'closing' }), { token: await apiToken(server, third) })
    const browser = visitor()
    const page = await acceptInvitation(browser, String(json.url), member)
    await inTransaction(server.db, (tx) => disableConnection(tx, 'closing', server.now()))
    const { result, rows } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(404)
    expect(rows).toEqual({})
  })

  test('when the client was disabled meanwhile', async () => {
    const third = await givenShop(server, 'leaving')
    const { json } = await ask(ticket({ connection: 'leaving' }), { token: await apiToken(server, third) })
    await inTransaction(server.db, (tx) => disableClient(tx, third.id, server.now()))
    const { result, ...changes } = await changesOf(server, () => visitor().open(String(json.url)))
    expect(result.status).toBe(400)
    expect(changes).toEqual(nothing)
  })

  test('to who shows it from another site: the page of a ticket is not framed, and its form is not sent from there', async () => {
    const browser = visitor()
    const page = await browser.open(await givenTicket())
    expect(page.headers.get('x-frame-options')).toBe('DENY')
    const _csrf = /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
    const answer = await browser.request(`${page.url.href}/accept`, {
      method: 'POST',
      body: new URLSearchParams({ _csrf }),
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    })
    expect(answer.status).toBe(403)
  })
})

test('of twenty browsers that go on at once, one is bound', async () => {
  const url = await givenTicket()
  const browsers = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const browser = visitor()
      return { browser, page: await browser.open(url) }
    }),
  )
  const pages = await Promise.all(browsers.map(({ browser, page }) => browser.submit(page, '/accept')))
  expect(pages.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(pages.filter(({ status }) => status === 410)).toHaveLength(19)
})

test('a ticket moves nothing: an account that another member has linked stays theirs', async () => {
  const owner = await givenMember(server)
  const browser = visitor()
  await browser.submit(await acceptInvitation(browser, await givenTicket(), owner), '/agree')
  const again = await givenTicket()
  const { result, rows, events } = await changesOf(server, () => acceptInvitation(visitor(), again, member))
  expect(result.status).toBe(409)
  // A conflict is found; the shop's word is no proof that could decide it.
  expect(rows).toEqual({ LinkConflict: '+1' })
  expect(events.map(({ type }) => type)).toContain('link.conflict_found')
  expect(result.html).not.toMatch(/action="[^"]*\/(move|merge)"/)
})

test('neither the address nor the account of a ticket is in the log', async () => {
  const url = await givenTicket()
  const browser = visitor()
  await browser.submit(await acceptInvitation(browser, url, member), '/agree')
  const secret = new URL(url).pathname.split('/').at(-1) ?? ''
  expect(server.logged()).not.toContain(secret)
  expect(server.logged()).not.toContain(token)
  expect(server.logged()).not.toContain('cart@example.com')
})
