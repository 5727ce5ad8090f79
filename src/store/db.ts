import { setTimeout as delay } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import type { Topic } from './changes.ts'
import { Prisma, PrismaClient } from './generated/client.ts'

/** The database outside a transaction. */
export type Db = PrismaClient
/** The database inside the caller's transaction; also accepts `Db` where one statement is all there is. */
export type Tx = Prisma.TransactionClient

/**
 * PostgreSQL through Prisma. Nothing waits for ever: a connection is had within 2 s or the call fails, a statement
 * ends within 5 s, a lock is had within 2 s, and a transaction left open is ended by the server.
 */
export function openDb(url: string, poolSize: number): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: 2_000,
    idleTimeoutMillis: 60_000,
    statement_timeout: 5_000,
    // The one before is the server's to keep: a server that hangs, or a network that loses packets, keeps nothing.
    query_timeout: 6_000,
    lock_timeout: 2_000,
    idle_in_transaction_session_timeout: 10_000,
    application_name: 'hitotsu',
  })
  // A connection that ends while nobody uses it is replaced by the next who needs one.
  pool.on('error', () => {})
  // Minimal messages: the longer ones repeat the values of the query, which may be a member's.
  const db = new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: true }),
    errorFormat: 'minimal',
    transactionOptions: { maxWait: 2_000, timeout: 5_000 },
  })
  pools.set(db, pool)
  return db
}

const pools = new WeakMap<object, pg.Pool>()

/**
 * One parameterized statement on the same connections, past Prisma's query engine: a third of the work (README,
 * decisions). For what is asked thousands of times a second, and for nothing else; columns come as `pg` reads them.
 */
export async function hotStatement<Row extends object>(
  db: Db,
  text: string,
  values: readonly unknown[],
): Promise<{ rows: Row[]; count: number }> {
  const pool = pools.get(db)
  if (!pool) throw new Error('the database was not opened by openDb')
  const { rows, rowCount } = await pool.query<Row>(text, [...values])
  return { rows, count: rowCount ?? 0 }
}

/**
 * Runs `work` in one transaction. Whole transactions that lost a race (serialization failure, deadlock, write
 * conflict) are run again, three times at most, so `work` must do nothing outside the database.
 */
export async function inTransaction<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const noted: Change[] = []
      const result = await db.$transaction((tx) => {
        pending.set(tx, noted)
        return work(tx)
      })
      announceAll(db, noted)
      return result
    } catch (error) {
      if (attempt > 3 || !isRetryable(error)) throw error
      await delay(attempt * 10)
    }
  }
}

/** What may be remembered elsewhere and has changed. */
export interface Change {
  topic: Topic
  id: string
}

const announcers = new WeakMap<object, ((change: Change) => void)[]>()
const pending = new WeakMap<object, Change[]>()

/** Whatever is noted in this database is told to `announce`, once it is committed. */
export function announceChanges(db: Db, announce: (change: Change) => void): void {
  announcers.set(db, [...(announcers.get(db) ?? []), announce])
}

/** Call it after the write. Where there is no transaction, the write stands already. */
export function noteChange(tx: Tx, change: Change): void {
  const noted = pending.get(tx)
  if (noted) noted.push(change)
  else announceAll(tx, [change])
}

function announceAll(db: object, changes: readonly Change[]): void {
  for (const announce of announcers.get(db) ?? []) changes.forEach(announce)
}

/** True when a unique constraint refused the write: somebody else was first. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
}

/** True when the database could not be reached or did not answer in time, as opposed to refusing what was asked. */
export function isDbUnavailable(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientInitializationError) return true
  const { kind, code } = driverFault(error)
  if (kind && unreachable.has(kind)) return true
  if (code && gaveUp.has(code)) return true
  // P2024, P2028: no connection, or no transaction, within the time that was given.
  if (error instanceof Prisma.PrismaClientKnownRequestError) return ['P2024', 'P2028'].includes(error.code)
  return /timeout exceeded when trying to connect|Connection terminated|Query read timeout/.test(
    String(error),
  )
}

const unreachable = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TlsConnectionError',
])

/** PostgreSQL's words for "not now": statement and lock timeouts, shutting down, crashed, starting up, failed over. */
const gaveUp = new Set(['57014', '55P03', '57P01', '57P02', '57P03', '25006'])

/** True when the server itself refused a hot statement: whatever else is lost, nothing was done. */
export function wasRefused(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !error.code?.startsWith('57P')
}

/** Lost a race: a serialization failure or a deadlock, in a model call or in raw SQL. */
function isRetryable(error: unknown): boolean {
  const lost = error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2034'
  return lost || driverFault(error).kind === 'TransactionWriteConflict'
}

/** What the driver said, which Prisma passes on beside a code of its own that is coarser (raw SQL: always P2010). */
function driverFault(error: unknown): { kind?: string; code?: string } {
  // Of a hot statement, the driver's own: PostgreSQL's answer, or why the connection failed.
  if (error instanceof pg.DatabaseError) return error.code ? { code: error.code } : {}
  if (error instanceof Error && 'syscall' in error) return { kind: 'DatabaseNotReachable' }
  const fault =
    error instanceof Prisma.PrismaClientKnownRequestError ? error.meta?.driverAdapterError : undefined
  const cause: unknown = fault instanceof Error ? fault.cause : undefined
  return typeof cause === 'object' && cause !== null ? cause : {}
}
