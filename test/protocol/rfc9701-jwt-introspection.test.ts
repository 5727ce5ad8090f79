import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type GivenClient, givenClient, givenResource } from '../support/given.ts'
import { send } from '../support/post.ts'

const type = 'application/token-introspection+jwt'

let server: TestApp
let api: string
let introspector: GivenClient
let token: string
beforeAll(async () => {
  server = await startTestApp()
  introspector = await givenClient(server, { profile: 'machine' })
  api = await givenResource(server, { tokenFormat: 'opaque', introspectorId: introspector.id })
  const client = await givenClient(server, { profile: 'machine', resources: [{ id: api }] })
  const answer = await ask(client, '/token', 'grant_type=client_credentials&scope=orders:read')
  token = String(answer.json.access_token)
})
afterAll(() => server.close())

const ask = ({ id, secret }: GivenClient, path: string, body: string, accept = 'application/json') =>
  send(`${server.issuer}${path}`, {
    method: 'POST',
    headers: {
      accept,
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
    },
    body,
  })

async function verify(jwt: string, audience: string) {
  const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
  const rules = { issuer: server.issuer, audience, typ: 'token-introspection+jwt', algorithms: ['ES256'] }
  return (await jwtVerify(jwt, keys, rules)).payload
}

describe('RFC 9701: introspection answers that can be shown to others', () => {
  test('section 5: of a token that is not meant for who asks, it says that it is not active, and no more', async () => {
    const stranger = await givenClient(server, { profile: 'machine' })
    const { text } = await ask(stranger, '/introspect', `token=${token}`, type)
    expect((await verify(text, stranger.id)).token_introspection).toEqual({ active: false })
  })

  test('section 4: who does not ask for it gets JSON', async () => {
    const answer = await ask(introspector, '/introspect', `token=${token}`)
    expect(answer.headers['content-type']).toContain('application/json')
    expect(answer.json.active).toBe(true)
  })

  test('section 5: is typed, signed, for who asked, and holds the answer apart from its own claims', async () => {
    const answer = await ask(introspector, '/introspect', `token=${token}`, type)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, `${type}; charset=utf-8`])
    expect(decodeProtectedHeader(answer.text)).toMatchObject({ typ: 'token-introspection+jwt', alg: 'ES256' })
    const claims = await verify(answer.text, introspector.id)
    expect(Object.keys(claims).sort()).toEqual(['aud', 'iat', 'iss', 'token_introspection'])
    expect(claims.token_introspection).toMatchObject({
      active: true,
      iss: server.issuer,
      aud: api,
      scope: 'orders:read',
    })
  })
})
