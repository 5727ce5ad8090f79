import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type GivenClient, givenClient, givenResource } from '../support/given.ts'
import { post, send } from '../support/post.ts'

let server: TestApp
let api: string
let client: GivenClient
let introspector: GivenClient
beforeAll(async () => {
  server = await startTestApp()
  introspector = await givenClient(server, { profile: 'machine' })
  const { id: introspectorId } = introspector
  api = await givenResource(server, { tokenFormat: 'opaque', tokenTtl: 1800, introspectorId })
  client = await givenClient(server, { profile: 'machine', resources: [{ id: api }] })
})
afterAll(() => server.close())

const grant = (of: GivenClient, form: object = {}) =>
  post(server, '/token', { grant_type: 'client_credentials', ...form }, { client: of })

const introspect = async (token: unknown) =>
  (await post(server, '/introspect', { token: String(token) }, { client: introspector })).json

describe('RFC 6749 section 4.4: client credentials', () => {
  test('section 4.4.2: a client without its secret, or with a wrong one, is refused', async () => {
    for (const secret of ['', 'wrong']) {
      const answer = await grant({ ...client, secret })
      expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
    }
  })

  test('section 4.4: a public client is refused: it has no credentials', async () => {
    const answer = await grant(await givenClient(server, { profile: 'spa' }))
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('a client that is registered for members alone is refused', async () => {
    const answer = await grant(await givenClient(server))
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('a scope of OpenID Connect gives nothing: there is no member', async () => {
    const { json } = await grant(client, { scope: 'openid orders:read profile' })
    expect(json).toMatchObject({ scope: 'orders:read' })
    expect(json).not.toHaveProperty('id_token')
    const headers = { authorization: `Bearer ${json.access_token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
  })

  test('section 4.4.3: there is no refresh token', async () => {
    expect((await grant(client, { scope: 'orders:read offline_access' })).json).not.toHaveProperty(
      'refresh_token',
    )
  })

  test('a disabled client gets none, and those it has are over', async () => {
    const doomed = await givenClient(server, { profile: 'machine', resources: [{ id: api }] })
    const { json } = await grant(doomed, { scope: 'orders:read' })
    expect((await introspect(json.access_token)).active).toBe(true)
    await inTransaction(server.db, (tx) => disableClient(tx, doomed.id, server.now()))
    expect((await grant(doomed)).json.error).toBe('invalid_client')
    expect(await introspect(json.access_token)).toEqual({ active: false })
  })

  test('a machine that is registered for one API need not name it', async () => {
    const answer = await grant(client, { scope: 'orders:read' })
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json).toEqual({
      access_token: expect.stringMatching(/^[\w.-]{43,}$/),
      token_type: 'Bearer',
      expires_in: 1800,
      scope: 'orders:read',
    })
    expect(await introspect(answer.json.access_token)).toMatchObject({
      active: true,
      client_id: client.id,
      aud: api,
      scope: 'orders:read',
    })
  })
})
