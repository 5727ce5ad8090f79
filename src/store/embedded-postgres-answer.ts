import { setTimeout as pause } from 'node:timers/promises'
import { Client, DatabaseError } from 'pg'

/** What a server says to our password: it serves, it starts or stops, it does not know us, or nothing at all. */
type Answer = 'ready' | 'busy' | 'stranger' | 'silent'

const databaseName = 'hitotsu'
export const superuser = 'hitotsu'

/** Says all that a client needs, so that PG* variables of the environment have no say. */
export function connectionUrl(port: number, password: string, database = databaseName): string {
  return `postgresql://${superuser}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}?sslmode=disable`
}

/**
 * Waits until the server serves the database. False when it ends, does not take our password, or stays silent
 * for as long as `patienceMilliseconds`. One that says it is starting is given all the time it needs: replaying
 * the log after a crash may take long, and interrupting it only makes it start over.
 */
export async function comesReady(
  url: string,
  { running, patienceMilliseconds }: { running: () => boolean; patienceMilliseconds: number },
): Promise<boolean> {
  let patience = AbortSignal.timeout(patienceMilliseconds)
  for (let wait = 20; running(); wait = Math.min(wait * 1.5, 500)) {
    const answer = await ask(url)
    if (answer === 'ready') return true
    if (answer === 'stranger') return false
    if (answer === 'busy') patience = AbortSignal.timeout(patienceMilliseconds)
    if (patience.aborted) return false
    await pause(wait)
  }
  return false
}

/** Creates the application's database unless it is there. */
export async function ensureDatabase(port: number, password: string): Promise<void> {
  await connected(connectionUrl(port, password, 'postgres'), async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [databaseName])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${databaseName}`)
  })
}

async function ask(url: string): Promise<Answer> {
  try {
    await connected(url, (client) => client.query('SELECT 1'))
    return 'ready'
  } catch (error) {
    if (!(error instanceof DatabaseError)) return 'silent'
    // PostgreSQL error codes: 57P03 cannot_connect_now, 57P01 and 57P02 shutdown, 3D000 database not created yet.
    return ['57P03', '57P01', '57P02', '3D000'].includes(error.code ?? '') ? 'busy' : 'stranger'
  }
}

async function connected<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000, query_timeout: 10_000 })
  // A connection that breaks is reported by the call that used it.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await use(client)
  } finally {
    // Not waited for: a server that froze in the meantime would never close its side.
    client.end().catch(() => undefined)
  }
}
