import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { migrate, readMigrations } from '../../src/store/migrate.ts'

const names = readMigrations().migrationDirectories.map(({ path }) => path)

test('processes that start at once apply each migration once', async () => {
  const url = await createEmptyDatabase()
  const applied = await Promise.all([1, 2, 3, 4, 5, 6].map(() => migrate(url)))
  expect(applied.flat().sort()).toEqual(names)
  const rows = await query(url, 'SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL')
  expect(rows.map(({ migration_name }) => migration_name).sort()).toEqual(names)
})

test('a schema that is up to date is left alone', async () => {
  const url = await createEmptyDatabase()
  await migrate(url)
  expect(await migrate(url)).toEqual([])
})

test('the migrations make exactly what the schema says', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['prisma/new-migration.ts', 'nothing_to_do'])
  expect(stdout).toContain('no change')
})

async function createEmptyDatabase(): Promise<string> {
  const name = `empty_${randomBytes(6).toString('hex')}`
  const server = new URL(inject('databaseUrl'))
  server.pathname = '/postgres'
  await query(server.href, `CREATE DATABASE ${name}`)
  onTestFinished(async () => {
    await query(server.href, `DROP DATABASE ${name} WITH (FORCE)`)
  })
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
