import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { undoMerge } from '../../src/linking/merge/undo.ts'
import { type Db, inTransaction, openDb, type Tx } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { givenConnection } from '../support/given.ts'
import { type Cast, type Command, carryOut, command, givenCast, mergeAt } from '../support/member-commands.ts'
import { belongingsOf, merge } from '../support/merging.ts'

let server: TestApp
let otherProcess: Db
let connectionIds: string[]
beforeAll(async () => {
  server = await startTestApp()
  otherProcess = openDb(server.config.DATABASE_URL ?? '', 5)
  connectionIds = [(await givenConnection(server)).id, (await givenConnection(server)).id]
})
afterAll(async () => {
  await otherProcess.$disconnect()
  await server.close()
})

/** Who has which account: moved by what was done, and by nothing else. */
interface Model {
  owners: Map<number, number>
  /** Merges that stand, as the database has them in order: what came with each. */
  merges: { survivor: number; absorbed: number; came: number[] }[]
}

function follow({ owners, merges }: Model, done: Command): void {
  if (done.do === 'link') owners.set(done.account, done.member)
  if (done.do === 'unlink') owners.delete(done.account)
  const of = (member: number) => [...owners].filter(([, owner]) => owner === member).map(([one]) => one)
  if (done.do === 'delete') for (const one of of(done.member)) owners.delete(one)
  if (done.do === 'merge') {
    const came = of(done.other)
    for (const one of came) owners.set(one, done.member)
    merges.push({ survivor: done.member, absorbed: done.other, came })
  }
  if (done.do === 'undo') {
    const [undone] = merges.splice(done.merge, 1)
    for (const one of undone?.came ?? [])
      if (owners.get(one) === undone?.survivor && undone) owners.set(one, undone.absorbed)
  }
}

async function ownersOf({ memberIds, accounts }: Cast): Promise<Map<number, number>> {
  const rows = await server.db.federatedIdentity.findMany({
    where: { subject: { in: accounts.map(({ subject }) => subject) } },
  })
  const pairs = rows.map(({ subject, memberId }): [number, number] => [
    accounts.findIndex((one) => one.subject === subject),
    memberIds.indexOf(memberId),
  ])
  return new Map(pairs.sort(([a], [b]) => a - b))
}

async function expectInvariants({ memberIds, accounts }: Cast, everLinked: ReadonlySet<number>) {
  const { db } = server
  const members = await db.member.findMany({
    where: { id: { in: memberIds } },
    include: { password: true, contactPoints: true, identities: true, mergesAbsorbed: true },
  })
  for (const { status, password, contactPoints, identities, mergesAbsorbed } of members) {
    const here = status === 'active' || status === 'suspended'
    // Nobody is here without a way to sign in, and nobody who is not here holds one.
    if (here) expect((password && contactPoints.length > 0) || identities.length > 0).toBeTruthy()
    else expect(identities).toEqual([])
    // Who was absorbed was so by one, and is absorbed for as long as that stands.
    const standing = mergesAbsorbed.filter(({ undoneAt }) => undoneAt === null)
    expect(standing).toHaveLength(status === 'absorbed' ? 1 : 0)
    // A chain ends with somebody who is here, or is deleted.
    const seen = new Set<string>()
    for (let next = standing[0]?.survivorId; next; ) {
      expect(seen.has(next)).toBe(false)
      seen.add(next)
      const survivorId = next
      const found = await db.merge.findFirst({ where: { absorbedId: survivorId, undoneAt: null } })
      const { status: end } = await db.member.findUniqueOrThrow({ where: { id: survivorId } })
      expect(end === 'absorbed').toBe(found !== null)
      next = found?.survivorId
    }
  }
  for (const index of everLinked) {
    const { subject = '' } = accounts[index] ?? {}
    const where = { subject }
    const linked = await db.federatedIdentity.count({ where })
    expect(linked).toBeLessThanOrEqual(1)
    // No account is lost: it is somebody's, or known to have been.
    expect(linked + (await db.formerIdentity.count({ where }))).toBeGreaterThan(0)
  }
}

/** Undone where it stands, a merge leaves everything as it was; then that is undone as well. */
async function expectReversible(cast: Cast, before: unknown): Promise<void> {
  const merges = await server.db.merge.findMany({
    where: { survivorId: { in: cast.memberIds }, undoneAt: null },
    orderBy: { id: 'desc' },
  })
  const [latest] = merges
  if (!latest) throw new Error('there is no merge')
  const enough = new Error('enough')
  const work = inTransaction(server.db, async (tx: Tx) => {
    await undoMerge(tx, latest, 'member', server.now())
    expect(await belongingsOf({ db: tx }, cast.memberIds)).toEqual(before)
    throw enough
  })
  await expect(work).rejects.toBe(enough)
}

test('whatever is done to members and accounts in turn, the rules hold, and each merge can be taken back', async () => {
  let merges = 0
  let undone = 0
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 8, maxLength: 24 }), async (commands) => {
      const cast = await givenCast(server, connectionIds)
      const model: Model = { owners: await ownersOf(cast), merges: [] }
      const everLinked = new Set(model.owners.keys())
      for (const next of commands) {
        const before = next.do === 'merge' && (await belongingsOf(server, cast.memberIds))
        if (await carryOut(server, server.db, cast, next)) {
          follow(model, next)
          if (before) await expectReversible(cast, before)
          if (next.do === 'merge') merges += 1
          if (next.do === 'undo') undone += 1
        }
        if (next.do === 'link' && model.owners.get(next.account) !== undefined) everLinked.add(next.account)
        expect(await ownersOf(cast)).toEqual(new Map([...model.owners].sort(([a], [b]) => a - b)))
        await expectInvariants(cast, everLinked)
      }
    }),
    { numRuns: 20 },
  )
  // A run in which nothing was merged would show nothing.
  expect(merges).toBeGreaterThan(10)
  expect(undone).toBeGreaterThan(2)
}, 240_000)

test('whatever is done at once by two processes, the rules hold, nothing is lost and nobody waits for each other', async () => {
  const [{ deadlocks: before }] = await deadlocks()
  const batch = fc.array(command, { minLength: 4, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 2, maxLength: 4 }), async (batches) => {
      const cast = await givenCast(server, connectionIds)
      const everLinked = new Set((await ownersOf(cast)).keys())
      for (const together of batches) {
        const answers = await Promise.all(
          together.map((next, index) =>
            carryOut(server, index % 2 === 0 ? server.db : otherProcess, cast, next),
          ),
        )
        together.forEach((next, index) => {
          if (next.do === 'link' && answers[index]) everLinked.add(next.account)
        })
        await expectInvariants(cast, everLinked)
      }
    }),
    { numRuns: 15 },
  )
  const [{ deadlocks: after }] = await deadlocks()
  expect(after).toBe(before)
}, 240_000)

test('two members each absorb the other at once: one does', async () => {
  for (let round = 0; round < 10; round += 1) {
    const cast = await givenCast(server, connectionIds)
    const [a = '', b = ''] = cast.memberIds
    const answers = await Promise.allSettled([
      merge(server, { id: a }, { id: b }),
      merge({ ...server, db: otherProcess }, { id: b }, { id: a }),
    ])
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await mergeAt(server.db, cast, 0)).toBeDefined()
    await expectInvariants(cast, new Set())
  }
})

function deadlocks(): Promise<[{ deadlocks: bigint }]> {
  return server.db.$queryRaw`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`
}
