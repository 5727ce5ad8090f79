import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { migrate } from '../../src/store/migrate.ts'
import { redisCli, startRedis } from '../support/redis.ts'

/** How often each statement or command was executed, by its text. */
export type Counts = Record<string, number>

export interface Stores {
  databaseUrl: string
  redisUrl: string
  /** Resolves once every event was delivered, so that what made ready does not weigh on what is measured. */
  settle(): Promise<void>
  /** Starts counting from nothing. */
  resetCounts(): Promise<void>
  counts(): Promise<{ statements: Counts; commands: Counts }>
  close(): Promise<void>
}

/** A real PostgreSQL that keeps what it acknowledges, and a real Redis; both count what they are asked. */
export async function openStores(): Promise<Stores> {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-bench-'))
  const options = { folder: join(folder, 'postgres'), log: () => {} }
  const [first, redis] = await Promise.all([openEmbeddedPostgres(options), startRedis()])
  // The library that counts statements is loaded when the server starts.
  await administer(first.url, `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`)
  await first.stop()
  const postgres = await openEmbeddedPostgres(options)
  await administer(postgres.url, 'CREATE EXTENSION pg_stat_statements')
  await migrate(postgres.url)

  const watcher = new Client(postgres.url)
  await watcher.connect()
  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    async settle() {
      const unsettled = 'SELECT 1 FROM "Delivery" WHERE "parkedAt" IS NULL LIMIT 1'
      const patience = AbortSignal.timeout(60_000)
      while ((await watcher.query(unsettled)).rowCount !== 0) {
        patience.throwIfAborted()
        await pause(50)
      }
    },
    async resetCounts() {
      await watcher.query('SELECT pg_stat_statements_reset()')
      await redisCli(redis.port, 'CONFIG', 'RESETSTAT')
    },
    counts: async () => ({
      statements: await countStatements(watcher),
      commands: countCommands(await redisCli(redis.port, 'INFO', 'commandstats')),
    }),
    async close() {
      await watcher.end()
      await Promise.all([postgres.stop(), redis.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function countStatements(watcher: Client): Promise<Counts> {
  const { rows } = await watcher.query<{ query: string; calls: string }>(
    `SELECT query, sum(calls) AS calls FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' GROUP BY query`,
  )
  return Object.fromEntries(rows.map(({ query, calls }) => [query, Number(calls)]))
}

/** Lines like `cmdstat_get:calls=12,usec=…`. What a script calls is counted beside the script: one round trip, two commands. */
function countCommands(commandStats: string): Counts {
  const lines = [...commandStats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)]
  const counted = lines.filter(([, name = '']) => !/^(info|config|ping|client|hello|command)\b/.test(name))
  return Object.fromEntries(counted.map(([, name = '', calls]) => [name, Number(calls)]))
}

async function administer(url: string, sql: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
