import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { send } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const read = 'GET, HEAD'
const readOrPost = `${read}, POST`
const endpoints: [string, string][] = [
  ['/authorize', readOrPost],
  ['/token', 'POST, OPTIONS'],
  ['/userinfo', 'GET, HEAD, POST, OPTIONS'],
  ['/jwks', 'GET, HEAD, OPTIONS'],
  ['/introspect', 'POST, OPTIONS'],
  ['/revoke', 'POST, OPTIONS'],
  ['/par', 'POST, OPTIONS'],
  ['/register', 'POST'],
  ['/device-authorization', 'POST, OPTIONS'],
  ['/device', readOrPost],
  ['/authorize/of-this-interaction', read],
  ['/register/this-client', 'GET, HEAD, PUT, DELETE'],
  ['/device/of-this-interaction', read],
  ['/sign-out', readOrPost],
  ['/sign-out/confirm', 'POST'],
  ['/sign-out/success', read],
  ['/.well-known/openid-configuration', 'GET, HEAD, OPTIONS'],
  ['/.well-known/oauth-authorization-server', 'GET, HEAD, OPTIONS'],
]

describe('RFC 9110 section 15.5.6: a method that an endpoint does not have', () => {
  test.each(endpoints)('%s answers 405 and allows %s', async (path, allow) => {
    const allowed = allow.split(', ')
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const { status, headers } = await send(server.issuer + path, { method })
      const expected = allowed.includes(method) ? undefined : allow
      expect([method, status === 405, headers.allow]).toEqual([method, expected !== undefined, expected])
    }
  })

  test.each(['/TOKEN', '/token/', '/Token/?a=b'])(
    '%s is the same endpoint, as it is for POST',
    async (path) => {
      expect((await send(server.issuer + path, { method: 'POST' })).status).not.toBe(404)
      expect((await send(server.issuer + path)).status).toBe(405)
    },
  )

  test('a program reads why', async () => {
    const { json } = await send(`${server.issuer}/token`, { headers: { accept: 'application/json' } })
    expect(json).toMatchObject({ status: 405, code: 'method_not_allowed' })
  })

  test('what is no endpoint is not found, whatever the method', async () => {
    for (const method of ['GET', 'POST', 'DELETE'])
      expect((await send(`${server.issuer}/token/of/nothing`, { method })).status).toBe(404)
  })

  test('every endpoint that discovery names is in this table', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    const named = Object.entries(json)
      .filter(([name]) => /_endpoint$|_uri$/.test(name))
      .map(([, url]) => new URL(String(url)).pathname)
    expect(endpoints.map(([path]) => path)).toEqual(expect.arrayContaining(named))
  })
})
