import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { send } from '../support/post.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'

let redis: RedisServer
let server: TestApp
let member: Browser
beforeAll(async () => {
  redis = await startRedis()
  server = await startTestApp({ redisUrl: redis.url })
  member = await signInTo(server, await givenMember(server), openBrowser('en'))
})
afterAll(async () => {
  redis.thaw()
  await server.close()
  await redis.stop()
})

const ask = (path: string, headers: object = {}) => send(server.issuer + path, { headers })
const recovered = () =>
  vi.waitFor(async () => expect((await ask('/readyz')).status).toBe(200), { timeout: 10_000 })

test('a healthy process says so on any host name, and caches keep none of it', async () => {
  for (const path of ['/livez', '/readyz']) {
    const { status, headers, json } = await ask(path, { host: '10.0.0.7' })
    expect({ status, json, cache: headers['cache-control'] }).toEqual({
      status: 200,
      json: { status: 'ok' },
      cache: 'no-store',
    })
  }
})

describe.each([
  ['does not answer', { stop: async () => redis.freeze(), start: async () => redis.thaw() }],
  ['is gone', { stop: () => redis.kill(), start: () => redis.restart() }],
])('while Redis %s', (_, { stop, start }) => {
  beforeAll(() => stop())
  afterAll(async () => {
    await start()
    await recovered()
  })

  test('the process lives', async () => {
    expect((await ask('/livez')).status).toBe(200)
  })

  test('it is not ready, and names what is missing', async () => {
    const { status, json } = await ask('/readyz')
    expect({ status, json }).toEqual({ status: 503, json: { status: 'unavailable', failing: ['store'] } })
  })

  test('a page says to try again, instead of keeping its reader waiting', async () => {
    const browser = openBrowser('en')
    const page = await browser.open(`${server.issuer}/sign-up`)
    expect(page.status).toBe(503)
    expect(page.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(page.html).toContain('<html lang="en">')
  })

  test('a member who is signed in is not taken for a stranger', async () => {
    const page = await member.open(`${server.issuer}/account`)
    expect([page.status, page.url.pathname]).toEqual([503, '/account'])
    expect(page.headers.get('retry-after')).toMatch(/^\d+$/)
  })

  test('a program is told the same', async () => {
    const response = await member.request(`${server.issuer}/account`, {
      headers: { accept: 'application/json' },
    })
    expect([response.status, await response.json()]).toEqual([
      503,
      expect.objectContaining({ code: 'unavailable' }),
    ])
  })

  test('pages that need no store are served', async () => {
    expect((await ask('/nowhere', { accept: 'text/html' })).status).toBe(404)
    expect((await ask('/', { accept: 'text/html' })).status).toBe(200)
  })
})

test('once Redis is back, so is signing in', async () => {
  await recovered()
  const browser = openBrowser()
  const page = await browser.open(`${server.issuer}/sign-up`)
  expect([page.status, page.url.pathname.endsWith('/sign-up')]).toEqual([200, true])
})
