import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inTransaction, isDbUnavailable, openDb } from '../../src/store/db.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

describe('a database that cannot serve is told apart from one that refuses', () => {
  const nowhere = openDb('postgres://nobody:nothing@127.0.0.1:1/none', 2)
  const ways = {
    'a model call': () => nowhere.member.findMany(),
    'raw SQL': () => nowhere.$queryRaw`SELECT 1`,
    'a transaction': () => nowhere.$transaction((tx) => tx.member.findMany()),
  }
  test.each(Object.entries(ways))('%s without a server is "unavailable"', async (_, ask) => {
    const error = await ask().catch((thrown: unknown) => thrown)
    expect(isDbUnavailable(error)).toBe(true)
  })

  test('a statement that runs into the time limit is "unavailable"', async () => {
    const error = await inTransaction(database.db, async (tx) => {
      await tx.$executeRaw`SET LOCAL statement_timeout = 20`
      await tx.$queryRaw`SELECT pg_sleep(5)::text`
    }).catch((thrown: unknown) => thrown)
    expect(isDbUnavailable(error)).toBe(true)
  })

  test('a refused statement is not', async () => {
    const error = await database.db.$queryRaw`SELECT 1/0`.catch((thrown: unknown) => thrown)
    expect(isDbUnavailable(error)).toBe(false)
  })
})

test('a transaction that loses a race is run again as a whole', async () => {
  const { db } = database
  const [a, b] = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b']
  const now = new Date()
  await db.member.createMany({
    data: [a, b].map((id) => ({ id, createdAt: now, updatedAt: now, sessionsValidFrom: now })),
  })
  // Each holds one row and wants the other's: PostgreSQL ends one of the two.
  const met = barrier(2)
  const lock = (first: string, second: string, name: string) => {
    let tries = 0
    return inTransaction(db, async (tx) => {
      tries += 1
      await tx.member.update({ where: { id: first }, data: { name } })
      if (tries === 1) await met()
      await tx.$queryRaw`SELECT 1 FROM "Member" WHERE "id" = ${second}::uuid FOR UPDATE`
      return tries
    })
  }
  const tries = await Promise.all([lock(a, b, 'one'), lock(b, a, 'two')])
  expect(tries.toSorted()).toEqual([1, 2])
  expect(await db.member.findMany({ orderBy: { id: 'asc' }, select: { name: true } })).toEqual([
    { name: 'one' },
    { name: 'two' },
  ])
})

/** Resolves for all once `count` have come. */
function barrier(count: number): () => Promise<void> {
  let waiting = 0
  let open = () => {}
  const all = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    waiting += 1
    if (waiting === count) open()
    return all
  }
}
