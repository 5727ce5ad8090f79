import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { migrate } from '../../src/store/migrate.ts'
import { startRedis } from './redis.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A migrated database that tests copy and never write to. */
    databaseUrl: string
    redisUrl: string
  }
}

/** One PostgreSQL and one Redis for the whole run; each test file works in a database and under a key prefix of its own. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-test-'))
  const [postgres, redis] = await Promise.all([
    openEmbeddedPostgres({ folder: join(folder, 'postgres'), log: () => {}, fsync: false }),
    startRedis(),
  ])
  await migrate(postgres.url)
  project.provide('databaseUrl', postgres.url)
  project.provide('redisUrl', redis.url)
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()])
    await rm(folder, { recursive: true, force: true })
  }
}
