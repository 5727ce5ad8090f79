import { createHash } from 'node:crypto'
import { Client } from 'pg'

/**
 * Runs `work` while no other process, on any machine, runs work under the same name over the same database.
 * The lock lives on a connection of its own, so a process that dies lets go of it at once.
 */
export async function withAdvisoryLock<T>(url: string, name: string, work: () => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: `hitotsu ${name}`,
  })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lockNumber(name)])
    return await work()
  } finally {
    await client.end()
  }
}

/** Advisory locks are numbered: the first 63 bits of the name's digest. */
function lockNumber(name: string): string {
  return (createHash('sha256').update(`hitotsu ${name}`).digest().readBigUInt64BE() >> 1n).toString()
}
