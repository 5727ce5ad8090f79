import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inject } from 'vitest'
import { type App, createApp, type Resources } from '../../src/app.ts'
import { type Config, loadConfig } from '../../src/config/config.ts'
import { type Inbox, startInbox } from '../../src/demo/inbox/inbox.ts'
import { createOutbound } from '../../src/http/outbound.ts'
import { systemRandom } from '../../src/security/random.ts'
import { createSealer, type Sealer } from '../../src/security/seal.ts'
import type { Db } from '../../src/store/db.ts'
import { type Ephemeral, openEphemeral } from '../../src/store/ephemeral.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createDatabase, type TestDatabase } from './database.ts'

export interface TestApp {
  issuer: string
  config: Config
  db: Db
  store: Ephemeral
  sealer: Sealer
  inbox: Inbox
  /** What answers at the issuer's address; after `restartAs`, the last of them. */
  app: App
  /** Everything the server has logged so far. */
  logged(): string
  /** Moves the server's clock; stores that keep their own time do not follow. */
  advance(seconds: number): void
  now(): Date
  /** Another process's worth of server over the same stores, at another address with the same issuer. */
  startPeer(change?: Partial<Resources>): Promise<Peer>
  /** As after a restart with other settings: one process for each, which take turns at the issuer's address. */
  restartAs(...changes: Partial<Config>[]): Promise<void>
  close(): Promise<void>
}

export interface Peer {
  origin: string
  app: App
  close(): Promise<void>
}

export interface TestAppOptions {
  env?: Record<string, string>
  /** host:port of upstreams on this machine, known only once they listen: add to it at any time. */
  privateHosts?: string[]
  /** What Redis would hold is kept in this process instead, where it ages with the server's clock. */
  inProcessStore?: boolean
  /** A Redis that the test may stop; unset, the one of the whole run. */
  redisUrl?: string
}

/** The real server: real PostgreSQL and Redis, real HTTP on a free port, real SMTP into an inbox. Only hashing is cheap. */
export async function startTestApp({
  env = {},
  privateHosts = [],
  inProcessStore = false,
  redisUrl,
}: TestAppOptions = {}): Promise<TestApp> {
  const database = await createDatabase()
  const inbox = await startInbox({ smtpPort: 0, httpPort: 0 })
  const server = createServer()
  const port = await listen(server)
  const issuer = `http://localhost:${port}`
  const keys = {
    SECRET_KEYS: [randomBytes(32).toString('hex')],
    COOKIE_KEYS: [randomBytes(32).toString('hex')],
  }
  const config = loadConfig(
    { NODE_ENV: 'test', ISSUER: issuer, SMTP_URL: inbox.smtpUrl, DATABASE_URL: database.url, ...env },
    () => keys,
  )
  let offset = 0
  const now = () => new Date(Date.now() + offset)
  const store = await openEphemeral({
    ...(inProcessStore ? { now } : { redisUrl: redisUrl ?? inject('redisUrl') }),
    prefix: `${randomBytes(6).toString('hex')}:`,
  })

  const lines: string[] = []
  const log = createLogger('debug', { write: (line) => void lines.push(line) })
  const fetch = createOutbound(privateHosts)
  const build = (change: Partial<Resources> = {}) =>
    createApp({
      config,
      db: database.db,
      store,
      random: systemRandom,
      now,
      log,
      fetch,
      isDraining: () => false,
      hashCost: { memoryKiB: 1024, passes: 2 },
      ...change,
    })
  const apps = [await build()]
  serve(server, apps)

  return {
    issuer,
    config,
    db: database.db,
    store,
    sealer: createSealer(config.SECRET_KEYS),
    inbox,
    get app() {
      return lastOf(apps)
    },
    logged: () => lines.join(''),
    advance: (seconds) => {
      offset += seconds * 1000
    },
    now,
    startPeer: async (change) => startPeer(await build(change)),
    async restartAs(...changes) {
      await Promise.all(apps.splice(0).map((app) => app.stop()))
      for (const change of changes) apps.push(await build({ config: { ...config, ...change } }))
      serve(server, apps)
    },
    close: () => closeAll(apps, server, store, fetch, inbox, database),
  }
}

function lastOf(apps: readonly App[]): App {
  const app = apps.at(-1)
  if (!app) throw new Error('the server has no process')
  return app
}

/** Requests go to one after the other. */
function serve(server: Server, apps: readonly App[]): void {
  const callbacks = apps.map(({ koa }) => koa.callback())
  let next = 0
  server.removeAllListeners('request')
  server.on('request', (request, response) => callbacks[next++ % callbacks.length]?.(request, response))
}

async function startPeer(app: App): Promise<Peer> {
  const server = createServer(app.koa.callback())
  const port = await listen(server)
  return {
    origin: `http://localhost:${port}`,
    app,
    close: async () => {
      await app.stop()
      await stop(server)
    },
  }
}

async function closeAll(
  apps: readonly App[],
  server: Server,
  store: Ephemeral,
  fetch: { close(): Promise<void> },
  inbox: Inbox,
  database: TestDatabase,
) {
  await Promise.all(apps.map((app) => app.stop()))
  await stop(server)
  await Promise.all([store.close(), fetch.close(), inbox.close()])
  await database.drop()
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return (server.address() as AddressInfo).port
}

function stop(server: Server): Promise<unknown> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  return closed
}
