import { setTimeout as delay } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
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
  const adapter = new PrismaPg({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: 2_000,
    idleTimeoutMillis: 60_000,
    statement_timeout: 5_000,
    lock_timeout: 2_000,
    idle_in_transaction_session_timeout: 10_000,
    application_name: 'hitotsu',
  })
  // Minimal messages: the longer ones repeat the values of the query, which may be a member's.
  return new PrismaClient({
    adapter,
    errorFormat: 'minimal',
    transactionOptions: { maxWait: 2_000, timeout: 5_000 },
  })
}

/**
 * Runs `work` in one transaction. Whole transactions that lost a race (serialization failure, deadlock, write
 * conflict) are run again, three times at most, so `work` must do nothing outside the database.
 */
export async function inTransaction<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.$transaction(work)
    } catch (error) {
      if (attempt > 3 || !isRetryable(error)) throw error
      await delay(attempt * 10)
    }
  }
}

/** True when a unique constraint refused the write: somebody else was first. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
}

/** True when the database could not be reached or did not answer in time, as opposed to refusing what was asked. */
export function isDbUnavailable(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientInitializationError) return true
  if (!(error instanceof Prisma.PrismaClientKnownRequestError))
    return /timeout exceeded when trying to connect|ECONNREFUSED|Connection terminated/.test(String(error))
  return ['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028'].includes(error.code)
}

function isRetryable(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2034'
}
