import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deleteMemberAndLinks } from '../../src/linking/delete-member.ts'
import { approveUndo, requestUndo } from '../../src/linking/merge/second-approver.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { setPassword } from '../../src/members/password.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { changesOf } from '../support/linking.ts'
import { belongingsOf, givenGrant, merge, undo } from '../support/merging.ts'

let server: TestApp
let shop: string
beforeAll(async () => {
  server = await startTestApp()
  shop = (await givenConnection(server)).id
})
afterAll(() => server.close())

const givenTwo = async (): Promise<[GivenMember, GivenMember]> => [
  await givenMember(server),
  await givenMember(server),
]
async function unlink(memberId: string) {
  const { id: identityId } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId } })
  const policy = { sealer: server.sealer, coolOffDays: 30 }
  await unlinkIdentity(server.db, policy, { memberId, identityId }, server.now())
}

const nothing = { rows: {}, events: [] }
const hasher = { hash: async () => 'a new hash', verify: async () => true, isOutdated: () => false }

async function withoutPassword(member: GivenMember) {
  const identity = await givenIdentity(server, { memberId: member.id, connectionId: shop })
  await server.db.passwordCredential.delete({ where: { memberId: member.id } })
  return identity
}

async function expectRefusal(act: () => Promise<unknown>, reason: string) {
  const { result, ...changes } = await changesOf(server, () => act().catch((error: unknown) => error))
  expect(result).toMatchObject({ code: 'merge_undo_refused', cause: reason })
  expect(changes).toEqual(nothing)
}

describe('a merge is not undone', () => {
  test('twice, nor after its time', async () => {
    const [a, b] = await givenTwo()
    const done = await merge(server, a, b)
    await undo(server, done)
    await expectRefusal(() => undo(server, done), 'undone')
    const late = await merge(server, a, b)
    await server.db.merge.update({ where: { id: late.id }, data: { undoUntil: server.now() } })
    await expectRefusal(() => undo(server, late), 'over')
  })

  test('while the survivor is part of somebody else, or is deleted', async () => {
    const [a, b] = await givenTwo()
    const last = await givenMember(server)
    const first = await merge(server, a, b)
    const second = await merge(server, last, a)
    await expectRefusal(() => undo(server, first), 'survivor_gone')
    await undo(server, second)
    await undo(server, first)
    const again = await merge(server, a, b)
    await inTransaction(server.db, (tx) => deleteMemberAndLinks(tx, server.sealer, a.id, server.now()))
    await expectRefusal(() => undo(server, again), 'survivor_gone')
  })

  test('when the survivor would have no way to sign in', async () => {
    const [survivor, absorbed] = await givenTwo()
    await withoutPassword(survivor)
    const done = await merge(server, survivor, absorbed)
    await unlink(survivor.id)
    await expectRefusal(() => undo(server, done), 'survivor_without_sign_in')
  })

  test('when the absorbed member would have none', async () => {
    const [survivor, absorbed] = await givenTwo()
    await withoutPassword(absorbed)
    const done = await merge(server, survivor, absorbed)
    await unlink(survivor.id)
    await expectRefusal(() => undo(server, done), 'absorbed_without_sign_in')
  })
})

test('both members have back, row by row, what they had before', async () => {
  const [survivor, absorbed] = await givenTwo()
  const client = await givenClient(server)
  await server.db.member.update({
    where: { id: absorbed.id },
    data: { address: { country: 'JP' }, phoneNumber: '+815012345678', phoneVerifiedAt: server.now() },
  })
  await withoutPassword(survivor)
  await givenIdentity(server, { memberId: absorbed.id, connectionId: shop })
  await givenGrant(server, { memberId: absorbed.id, clientId: client.id })
  await server.db.linkPrompt.create({
    data: { memberId: absorbed.id, connectionId: shop, shown: 2, lastShownAt: server.now() },
  })
  const ids = [survivor.id, absorbed.id]
  const before = await belongingsOf(server, ids)
  const done = await merge(server, survivor, absorbed)
  expect(await belongingsOf(server, ids)).not.toEqual(before)
  const { events } = await changesOf(server, () => undo(server, done))
  expect(await belongingsOf(server, ids)).toEqual(before)
  const common = { mergeId: done.id, by: 'member' }
  expect(events).toEqual([
    { type: 'grant.revoked', memberId: survivor.id, data: { clientId: client.id } },
    { type: 'sessions.ended', memberId: survivor.id, data: { reason: 'restored' } },
    { type: 'sessions.ended', memberId: absorbed.id, data: { reason: 'restored' } },
    { type: 'member.merge_undone', memberId: survivor.id, data: { ...common, absorbedId: absorbed.id } },
    { type: 'member.restored', memberId: absorbed.id, data: { ...common, survivorId: survivor.id } },
    {
      type: 'subject.resolved',
      memberId: absorbed.id,
      data: { clientId: client.id, mergeId: done.id, subjectId: absorbed.id, previousIds: [] },
    },
  ])
})

describe('what happened since the merge stands', () => {
  test('an account that was linked stays with the survivor, one that came goes back', async () => {
    const [survivor, absorbed] = await givenTwo()
    const other = (await givenConnection(server)).id
    const came = await givenIdentity(server, { memberId: absorbed.id, connectionId: shop })
    const done = await merge(server, survivor, absorbed)
    const added = await givenIdentity(server, { memberId: survivor.id, connectionId: other })
    await undo(server, done)
    const owner = async (id: string) =>
      (await server.db.federatedIdentity.findUniqueOrThrow({ where: { id } })).memberId
    expect(await owner(came.id)).toBe(absorbed.id)
    expect(await owner(added.id)).toBe(survivor.id)
  })

  test('a password that was changed stays with the survivor', async () => {
    const [survivor, absorbed] = await givenTwo()
    await withoutPassword(survivor)
    await givenIdentity(server, { memberId: absorbed.id, connectionId: shop })
    const done = await merge(server, survivor, absorbed)
    server.advance(5)
    await setPassword(
      { db: server.db, hasher },
      { memberId: survivor.id, password: 'x', by: 'recovery' },
      server.now(),
    )
    const { kept } = await undo(server, done)
    expect(kept.map(({ table }) => table)).toEqual(['PasswordCredential'])
    const passwords = await server.db.passwordCredential.findMany({
      where: { memberId: { in: [survivor.id, absorbed.id] } },
    })
    expect(passwords).toMatchObject([{ memberId: survivor.id, hash: 'a new hash' }])
  })

  test('an attribute the survivor has changed stays as it is', async () => {
    const [survivor, absorbed] = await givenTwo()
    const { db } = server
    await db.member.update({ where: { id: absorbed.id }, data: { birthdate: '1990-04-01' } })
    const done = await merge(server, survivor, absorbed)
    await db.member.update({ where: { id: survivor.id }, data: { birthdate: '1991-05-02' } })
    await undo(server, done)
    expect(await db.member.findUnique({ where: { id: survivor.id } })).toMatchObject({
      birthdate: '1991-05-02',
    })
  })

  test('a service that was stopped is stopped for both', async () => {
    const [survivor, absorbed] = await givenTwo()
    const client = await givenClient(server)
    await givenGrant(server, { memberId: absorbed.id, clientId: client.id })
    const done = await merge(server, survivor, absorbed)
    await inTransaction(server.db, (tx) => revokeGrants(tx, { memberId: survivor.id }, server.now()))
    await undo(server, done)
    expect(await server.db.grant.count({ where: { clientId: client.id } })).toBe(0)
  })
})

describe('an operator’s undo', () => {
  const request = (mergeId: string, by: string) =>
    inTransaction(server.db, (tx) => requestUndo(tx, { mergeId, by, reason: 'wrong' }, server.now()))
  const approve = (mergeId: string, by: string) =>
    inTransaction(server.db, (tx) => approveUndo(tx, { mergeId, by }, server.now()))

  test('waits for another operator, however the first spells their name', async () => {
    const done = await merge(server, ...(await givenTwo()))
    await expectRefusal(() => approve(done.id, 'b'), 'not_requested')
    await request(done.id, 'suzuki')
    for (const name of ['suzuki', ' Suzuki', 'ｓｕｚｕｋｉ'])
      await expectRefusal(() => approve(done.id, name), 'same_operator')
    await expectRefusal(() => request(done.id, 'tanaka'), 'requested_by_another')
    await approve(done.id, 'tanaka')
    expect(await server.db.merge.findUnique({ where: { id: done.id } })).toMatchObject({
      undoneBy: 'suzuki, tanaka',
    })
  })

  test('is approved once, also by two at once', async () => {
    const done = await merge(server, ...(await givenTwo()))
    await request(done.id, 'a')
    const answers = await Promise.allSettled(['b', 'c', 'd'].map((by) => approve(done.id, by)))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expectRefusal(() => approve(done.id, 'b'), 'undone')
    expect(
      await server.db.event.count({
        where: { type: 'member.merge_undone', data: { path: ['mergeId'], equals: done.id } },
      }),
    ).toBe(1)
  })

  test('is asked for anew a day later', async () => {
    const done = await merge(server, ...(await givenTwo()))
    await request(done.id, 'a')
    server.advance(24 * 3_600)
    await expectRefusal(() => approve(done.id, 'b'), 'not_requested')
    await request(done.id, 'b')
    await approve(done.id, 'a')
  })
})
