import { afterAll, beforeAll, expect, test } from 'vitest'
import { touchedTables } from '../../src/linking/merge/row-change.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

/** Tables that name a member and are left as they are, and why that is right. */
const leftAlone: Record<string, string> = {
  Merge: 'says itself who absorbed whom',
  KnownMember: 'whom a client was told of stays true; names follow from it',
  PairwiseSubject: 'a name is never anybody else’s',
  ClientSession: 'ends with the absorbed member’s sessions',
}

test('every table that names a member is moved by a merge, or is left alone for a reason', async () => {
  const rows = await database.db.$queryRaw<{ table: string }[]>`
    SELECT DISTINCT conrelid::regclass::text AS "table" FROM pg_constraint
    WHERE contype = 'f' AND confrelid = '"Member"'::regclass`
  const naming = rows.map(({ table }) => table.replaceAll('"', '')).sort()
  const handled = [...Object.keys(touchedTables), ...Object.keys(leftAlone)]
  expect(naming.length).toBeGreaterThan(8)
  expect(naming.filter((table) => !handled.includes(table))).toEqual([])
  expect(Object.keys(leftAlone).filter((table) => !naming.includes(table))).toEqual([])
})
