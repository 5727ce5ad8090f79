import { once } from 'node:events'
import { createServer } from 'node:http'
import Koa from 'koa'
import { expect, onTestFinished, test } from 'vitest'
import type { HttpState } from '../../src/http/context.ts'
import { health, type Probe } from '../../src/http/health.ts'

async function ask(path: string, probes: Record<string, Probe>, isDraining = false) {
  const koa = new Koa<HttpState>().use(health(probes, () => isDraining))
  const server = createServer(koa.callback()).listen(0, '127.0.0.1')
  onTestFinished(() => {
    server.close()
  })
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return { status: response.status, body: await response.json() }
}

const well = async () => {}
const failing = () => Promise.reject(new Error('down'))
const stuck = () => new Promise(() => {})

test('every store that cannot serve is named, one that never answers as well', async () => {
  expect(await ask('/readyz', { database: failing, store: stuck, other: well })).toEqual({
    status: 503,
    body: { status: 'unavailable', failing: ['database', 'store'] },
  })
})

test('a process that is about to end takes no new work, and lives until it has ended', async () => {
  expect(await ask('/readyz', { database: well }, true)).toEqual({
    status: 503,
    body: { status: 'unavailable', failing: ['draining'] },
  })
  expect((await ask('/livez', { database: failing }, true)).status).toBe(200)
})

test('a process whose stores all answer is ready', async () => {
  expect(await ask('/readyz', { database: well, store: well })).toEqual({
    status: 200,
    body: { status: 'ok' },
  })
})
