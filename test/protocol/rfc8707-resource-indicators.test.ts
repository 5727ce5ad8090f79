import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableResource, enableResource, newResource } from '../../src/oidc/resource-registration.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember, givenResource } from '../support/given.ts'
import { type Answer, post, send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let orders: string
let stock: string
let foreign: string
let machine: GivenClient
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  orders = await givenResource(server)
  stock = await givenResource(server, { scopes: ['stock:read', 'stock:write'] })
  foreign = await givenResource(server)
  const resources = [{ id: orders }, { id: stock, scopes: ['stock:read'] }]
  machine = await givenClient(server, { profile: 'machine', resources })
  party = await relyingParty(server, await givenClient(server, { resources }))
})
afterAll(() => server.close())

const grant = (form: Record<string, string> | [string, string][]) =>
  post(server, '/token', [['grant_type', 'client_credentials'], ...toPairs(form)], { client: machine })

const toPairs = (form: Record<string, string> | [string, string][]) =>
  Array.isArray(form) ? form : Object.entries(form)

const claimsOf = ({ json }: Answer) => decodeJwt(String(json.access_token))

/** A member agrees; what comes back is what the client exchanges the code with. */
async function givenCode(asked: Record<string, string>) {
  const attempt = await begin(party, asked)
  const callback = await authorize(party, openBrowser(), await givenMember(server), attempt.url)
  return {
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    redirect_uri: party.redirectUri,
    code_verifier: attempt.codeVerifier,
  }
}

const exchange = (form: Record<string, string>) => post(server, '/token', form, { client: party })

const refresh = (token: unknown, form: object = {}) =>
  exchange({ grant_type: 'refresh_token', refresh_token: String(token), ...form })

const userinfo = async (token: unknown) =>
  (await send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status

describe('RFC 8707 section 2: a resource', () => {
  test.each([
    ['that nobody registered', () => 'https://unknown.example.com'],
    ['that the client is not registered for', () => foreign],
    ['that is no absolute URI', () => '/orders'],
    ['that has a fragment', () => `${orders}#part`],
    ['that is spelled differently', () => `${orders}/`],
  ])('%s is invalid_target', async (_, resource) => {
    const answer = await grant({ resource: resource(), scope: 'orders:read' })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_target'])
  })

  test('that was disabled is invalid_target, until it is enabled', async () => {
    await inTransaction(server.db, (tx) => disableResource(tx, stock, server.now()))
    expect((await grant({ resource: stock })).json.error).toBe('invalid_target')
    await inTransaction(server.db, (tx) => enableResource(tx, stock, server.now()))
    expect((await grant({ resource: stock, scope: 'stock:read' })).status).toBe(200)
    const events = await server.db.event.findMany({
      where: { data: { path: ['resourceId'], equals: stock } },
    })
    expect(events.map(({ type }) => type)).toEqual([
      'resource.created',
      'resource.disabled',
      'resource.enabled',
    ])
  })

  test('must be named by a machine that is registered for several', async () => {
    const answer = await grant({ scope: 'orders:read' })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_target'])
  })

  test('a scope without a resource is none', async () => {
    const client = await givenClient(server, { profile: 'machine' })
    const form = { grant_type: 'client_credentials', scope: 'orders:read anything' }
    const { json } = await post(server, '/token', form, { client })
    expect(json).not.toHaveProperty('scope')
  })

  test('section 2.2: one token is for one resource', async () => {
    const answer = await grant([
      ['resource', orders],
      ['resource', stock],
    ])
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_target'])
  })

  test('has the scopes that it understands and the client may have, and no others', async () => {
    const answer = await grant({ resource: stock, scope: 'stock:read stock:write orders:read openid' })
    expect(answer.json.scope).toBe('stock:read')
    expect(claimsOf(answer)).toMatchObject({ aud: stock, scope: 'stock:read' })
  })

  test.each([
    ['a fragment', { id: 'https://api.example.com/#x' }],
    ['a query', { id: 'https://api.example.com/?x=1' }],
    ['http', { id: 'http://api.example.com' }],
    ['a reserved name', { id: 'urn:hitotsu:linked-accounts' }],
    ['no scope', { scopes: [] }],
    ['a scope with a space', { scopes: ['orders read'] }],
    ['a scope of OpenID Connect', { scopes: ['profile'] }],
    ['JWTs of more than ten minutes', { tokenTtl: 601 }],
    ['opaque tokens of more than a day', { tokenFormat: 'opaque', tokenTtl: 86_401 }],
  ])('cannot be registered with %s', (_, wrong) => {
    const good = {
      id: 'https://api.example.com',
      name: { ja: '注文', en: 'Orders' },
      scopes: ['orders:read'],
    }
    expect(newResource.safeParse(good).success).toBe(true)
    expect(newResource.safeParse({ ...good, ...wrong }).success).toBe(false)
  })
})

describe('RFC 8707 section 2.1: a member is asked for a resource', () => {
  test('that the client is not registered for: invalid_target, at the client', async () => {
    const { url } = await begin(party, { resource: foreign, scope: 'openid orders:read' })
    const callback = await authorize(party, openBrowser(), await givenMember(server), url)
    expect(callback.searchParams.get('error')).toBe('invalid_target')
  })

  test('another one at the token endpoint than was agreed to is invalid_target', async () => {
    const form = await givenCode({ resource: orders, scope: 'openid orders:read' })
    expect((await exchange({ ...form, resource: stock })).json.error).toBe('invalid_target')
  })

  test('with openid, the token is for userinfo while no resource is named at the token endpoint', async () => {
    const form = await givenCode({ resource: orders, scope: 'openid orders:read' })
    const { json } = await exchange(form)
    expect(json.scope).toBe('openid')
    expect(await userinfo(json.access_token)).toBe(200)
  })

  test('named there, the token is for the resource, and no use at userinfo', async () => {
    const form = await givenCode({ resource: orders, scope: 'openid orders:read' })
    const answer = await exchange({ ...form, resource: orders })
    expect(answer.json.scope).toBe('orders:read')
    expect(claimsOf(answer)).toMatchObject({ aud: orders, scope: 'orders:read' })
    expect(answer.json).toHaveProperty('id_token')
    expect(await userinfo(answer.json.access_token)).toBe(401)
  })

  test('without openid the resource need not be named again', async () => {
    const answer = await exchange(await givenCode({ resource: orders, scope: 'orders:read', nonce: '' }))
    expect(claimsOf(answer).aud).toBe(orders)
  })

  test('a refresh token gives tokens for each resource that was agreed to, and for no other', async () => {
    const asked = { resource: orders, scope: 'openid offline_access orders:read' }
    const { json } = await exchange(await givenCode(asked))
    const forOrders = await refresh(json.refresh_token, { resource: orders })
    expect(claimsOf(forOrders)).toMatchObject({ aud: orders, scope: 'orders:read' })
    const forStock = await refresh(forOrders.json.refresh_token, { resource: stock })
    expect([forStock.status, forStock.json.error]).toEqual([400, 'invalid_target'])
  })
})
