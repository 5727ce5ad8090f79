import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createApp } from '../../src/app.ts'
import { createOutbound } from '../../src/http/outbound.ts'
import { systemRandom } from '../../src/security/random.ts'
import { openDb } from '../../src/store/db.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { post, send } from '../support/post.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

let server: TestApp
let proxy: TcpProxy
let peer: { origin: string; close(): Promise<void> }
beforeAll(async () => {
  server = await startTestApp()
  const url = new URL(server.config.DATABASE_URL ?? '')
  proxy = await startTcpProxy(Number(url.port))
  url.host = `127.0.0.1:${proxy.port}`
  peer = await startPeer(url.href)
})
afterAll(async () => {
  await peer.close()
  await server.close()
})

/** Another process of the same installation, which reaches the database by another way. */
async function startPeer(databaseUrl: string): Promise<typeof peer> {
  const { config, store, now } = server
  const db = openDb(databaseUrl, 4)
  const fetch = createOutbound([])
  const log = createLogger('silent')
  const app = await createApp({
    config,
    db,
    store,
    random: systemRandom,
    now,
    log,
    fetch,
    isDraining: () => false,
  })
  const http = createServer(app.koa.callback())
  await new Promise<void>((resolve) => http.listen(0, 'localhost', resolve))
  return {
    origin: `http://localhost:${(http.address() as AddressInfo).port}`,
    async close() {
      await app.stop()
      http.close()
      http.closeAllConnections()
      await Promise.all([db.$disconnect(), fetch.close()])
    },
  }
}

const ask = (path: string, headers: object = {}) =>
  send(peer.origin + path, {
    headers: { host: new URL(server.issuer).host, accept: 'text/html', ...headers },
  })

async function signedIn(): Promise<{ cookie: string }> {
  const browser = await signInTo(server, await givenMember(server), openBrowser())
  return { cookie: [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ') }
}

async function expectUnavailable(cookie: { cookie: string }): Promise<void> {
  const ready = await ask('/readyz')
  expect([ready.status, ready.json]).toEqual([503, { status: 'unavailable', failing: ['database'] }])
  const pages = [
    '/account',
    '/account/security',
    '/connections/shop/callback',
    '/authorize?client_id=shop',
  ].map(async (path) => {
    const { status, headers, text } = await ask(path, cookie)
    return [path, status, headers['retry-after'], text.startsWith('<!doctype html>')]
  })
  for (const answer of await Promise.all(pages)) expect(answer.slice(1)).toEqual([503, '5', true])
  const client = { client_id: 'shop', grant_type: 'authorization_code', code: 'x' }
  const token = await post(server, '/token', client, { origin: peer.origin })
  expect([token.status, token.json.error, token.headers['retry-after']]).toEqual([
    503,
    'temporarily_unavailable',
    '5',
  ])
  const document = await ask('/account', { ...cookie, accept: 'application/json' })
  expect(document.json).toMatchObject({ status: 503, code: 'unavailable' })
  expect((await ask('/livez')).status).toBe(200)
  expect((await ask('/')).status).toBe(200)
}

test('a process whose database hangs says so, keeps nobody waiting, and goes on once it answers again', async () => {
  const cookie = await signedIn()
  expect((await ask('/account', cookie)).status).toBe(200)
  proxy.mute(true)
  await expectUnavailable(cookie)
  proxy.mute(false)
  await vi.waitFor(async () => expect((await ask('/account', cookie)).status).toBe(200), { timeout: 20_000 })
  expect((await ask('/readyz')).status).toBe(200)
}, 60_000)

test('a process whose database is gone says so, and its pages say to try again', async () => {
  const cookie = await signedIn()
  await proxy.close()
  await expectUnavailable(cookie)
})
