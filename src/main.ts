import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createApp } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config/config.ts'
import { developmentKeys } from './config/development-keys.ts'
import { createOutbound } from './http/outbound.ts'
import { systemRandom } from './security/random.ts'
import { openDb } from './store/db.ts'
import { openEmbeddedPostgres } from './store/embedded-postgres.ts'
import { openEphemeral } from './store/ephemeral.ts'
import { migrate } from './store/migrate.ts'
import { createLogger, type Logger } from './telemetry/logger.ts'

export interface RunningServer {
  url: string
  /** Where it listens: the one that was free where `PORT` is 0. */
  port: number
  databaseUrl: string
  /** Takes no new work, finishes what is in hand, closes everything. */
  stop(): Promise<void>
}

const drainMs = 10_000

/**
 * Starts one server from an environment: reads it, opens the stores, brings the schema up to date, listens. Whatever was
 * opened is closed again when a later step fails.
 * @throws ConfigError before anything is opened
 */
export async function startServer(
  env: Record<string, string | undefined>,
  log?: Logger,
): Promise<RunningServer> {
  const config = readConfig(env)
  const logger = log ?? createLogger(config.LOG_LEVEL)
  const now = () => new Date()
  const closers: (() => Promise<unknown>)[] = []
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const databaseUrl = config.DATABASE_URL ?? (await openEmbedded(config, logger, closers))
    const applied = await migrate(databaseUrl)
    if (applied.length > 0) logger.info({ migrations: applied }, 'schema brought up to date')
    const db = openDb(databaseUrl, config.DATABASE_POOL_SIZE)
    closers.push(() => db.$disconnect())
    const store = await openEphemeral({
      redisUrl: config.REDIS_URL?.join(','),
      onError: (error) => logger.warn({ err: error }, 'redis connection failed'),
    })
    closers.push(() => store.close())
    const fetch = createOutbound(config.OUTBOUND_PRIVATE_HOSTS)
    closers.push(() => fetch.close())

    let draining = false
    const app = await createApp({
      config,
      db,
      store,
      random: systemRandom,
      now,
      log: logger,
      fetch,
      isDraining: () => draining,
    })
    closers.push(() => app.stop())
    const server = await listen(createServer(app.koa.callback()), config)
    closers.push(async () => {
      draining = true
      await closeServer(server)
    })
    const { port } = server.address() as AddressInfo
    logger.info({ issuer: config.ISSUER, port }, 'listening')
    return { url: config.ISSUER, port, databaseUrl, stop: closeAll }
  } catch (error) {
    await closeAll()
    throw error
  }
}

export function readConfig(env: Record<string, string | undefined>): Config {
  return loadConfig(env, (folder) => developmentKeys(folder, systemRandom))
}

async function openEmbedded(
  config: Config,
  log: Logger,
  closers: (() => Promise<unknown>)[],
): Promise<string> {
  const postgres = await openEmbeddedPostgres({
    folder: join(config.DATA_FOLDER, 'postgres'),
    log: (message) => log.info(message),
  })
  closers.push(() => postgres.stop())
  return postgres.url
}

function listen(server: Server, { PORT, HOST }: Config): Promise<Server> {
  // Slow senders are cut off; Node's own limits are 60 s for headers and 300 s in all.
  Object.assign(server, { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 65_000 })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(PORT, HOST, () => resolve(server))
  })
}

/** Requests in hand get their answers; connections that outlast the deadline are cut. */
async function closeServer(server: Server): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), drainMs)
  await new Promise((resolve) => {
    server.close(resolve)
    server.closeIdleConnections()
  })
  clearTimeout(deadline)
}

/**
 * Aborts when the process is told to end. Told again it still ends in order: where npm's shell makes way for the
 * program, Ctrl-C comes from the terminal and once more from npm.
 */
export function toldToEnd(): AbortSignal {
  const told = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => told.abort())
  return told.signal
}

async function main(): Promise<void> {
  const starting = startServer(process.env)
  // From the first moment on: a start that is interrupted closes what it has opened by then.
  toldToEnd().addEventListener('abort', async () => {
    const server = await starting.catch(() => undefined)
    await server?.stop()
    process.exit(0)
  })
  await starting.catch((error: unknown) => {
    console.error(error instanceof ConfigError ? error.message : error)
    process.exitCode = 1
  })
}

if (import.meta.main) await main()
