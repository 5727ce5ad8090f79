import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { inject } from 'vitest'
import { type Db, openDb } from '../../src/store/db.ts'

export interface TestDatabase {
  url: string
  db: Db
  drop(): Promise<void>
}

/** An empty, migrated database of the caller's own. */
export async function createDatabase(): Promise<TestDatabase> {
  const template = new URL(inject('databaseUrl'))
  const name = `test_${randomBytes(6).toString('hex')}`
  await administer(template, `CREATE DATABASE ${name} TEMPLATE ${template.pathname.slice(1)}`)
  const url = new URL(template)
  url.pathname = `/${name}`
  const db = openDb(url.href, 10)
  return {
    url: url.href,
    db,
    async drop() {
      await db.$disconnect()
      await administer(template, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

/** From the `postgres` database: a template may have no other visitor while it is copied. */
async function administer(server: URL, sql: string): Promise<void> {
  const url = new URL(server)
  url.pathname = '/postgres'
  const client = new Client({ connectionString: url.href })
  await client.connect()
  try {
    // Copies of one template wait for each other.
    await client.query('SELECT pg_advisory_lock(1)')
    await client.query(sql)
  } finally {
    await client.end()
  }
}
