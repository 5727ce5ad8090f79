import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { suspendMember } from '../../src/members/suspension.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { changesOf, signInTo } from '../support/linking.ts'
import { givenGrant, merge } from '../support/merging.ts'

let server: TestApp
let shop: string
beforeAll(async () => {
  server = await startTestApp()
  shop = (await givenConnection(server)).id
})
afterAll(() => server.close())

async function givenTwo(): Promise<[GivenMember, GivenMember]> {
  return [await givenMember(server), await givenMember(server)]
}

const nothing = { rows: {}, events: [] }
const refused = (reason: string) => ({ code: 'merge_refused', cause: reason })

describe('two members are not merged', () => {
  async function expectRefusal(survivor: { id: string }, absorbed: { id: string }, reason: string) {
    const { result, ...changes } = await changesOf(server, () =>
      merge(server, survivor, absorbed).catch((error: unknown) => error),
    )
    expect(result).toMatchObject(refused(reason))
    expect(changes).toEqual(nothing)
  }

  test('when they are one', async () => {
    const [member] = await givenTwo()
    await expectRefusal(member, member, 'same_member')
  })

  test('when one of them does not exist', async () => {
    const [member] = await givenTwo()
    const nobody = { id: '00000000-0000-4000-8000-000000000000' }
    await expectRefusal(member, nobody, 'not_found')
    await expectRefusal(nobody, member, 'not_found')
  })

  test('while either is suspended', async () => {
    const [member, suspended] = await givenTwo()
    await inTransaction(server.db, (tx) => suspendMember(tx, suspended.id, undefined, server.now()))
    await expectRefusal(member, suspended, 'not_active')
    await expectRefusal(suspended, member, 'not_active')
  })

  test('again, nor into one who was absorbed: no chain leads back', async () => {
    const [a, b] = await givenTwo()
    const c = await givenMember(server)
    await merge(server, a, b)
    await expectRefusal(a, b, 'already_merged')
    await expectRefusal(c, b, 'already_merged')
    await expectRefusal(b, a, 'not_active')
  })
})

test('everything the absorbed member had comes to the survivor, and every row of it is journaled', async () => {
  const [survivor, absorbed] = await givenTwo()
  const { db } = server
  await db.member.update({
    where: { id: absorbed.id },
    data: { birthdate: '1990-04-01', phoneNumber: '+815012345678', phoneVerifiedAt: server.now() },
  })
  const identity = await givenIdentity(server, { memberId: absorbed.id, connectionId: shop })
  const client = await givenClient(server)
  await givenGrant(server, { memberId: absorbed.id, clientId: client.id })

  const { result, rows, events } = await changesOf(server, () => merge(server, survivor, absorbed))
  expect(rows).toEqual({
    Member: '~2',
    ContactPoint: '~1',
    FederatedIdentity: '~1',
    LinkConsent: '~1',
    Grant: '+1',
    Merge: '+1',
  })
  const common = { mergeId: result.id, by: 'member' }
  expect(events).toEqual([
    { type: 'sessions.ended', memberId: absorbed.id, data: { reason: 'absorbed' } },
    { type: 'member.merged', memberId: survivor.id, data: { ...common, absorbedId: absorbed.id } },
    { type: 'member.absorbed', memberId: absorbed.id, data: { ...common, survivorId: survivor.id } },
    {
      type: 'subject.resolved',
      memberId: survivor.id,
      data: { clientId: client.id, mergeId: result.id, subjectId: absorbed.id, previousIds: [] },
    },
  ])
  expect(await db.member.findUnique({ where: { id: survivor.id } })).toMatchObject({
    name: 'Hanako Suzuki',
    birthdate: '1990-04-01',
    phoneNumber: '+815012345678',
  })
  expect(await db.federatedIdentity.findUnique({ where: { id: identity.id } })).toMatchObject({
    memberId: survivor.id,
  })
  const journal = await db.mergeJournal.findMany({
    where: { mergeId: result.id },
    orderBy: { position: 'asc' },
  })
  expect(journal.map(({ table, before, after }) => ({ table, before, after }))).toEqual([
    { table: 'Member', before: { status: 'active' }, after: { status: 'absorbed' } },
    {
      table: 'Member',
      before: { birthdate: null, phoneNumber: null, phoneVerifiedAt: null },
      after: { birthdate: '1990-04-01', phoneNumber: '+815012345678', phoneVerifiedAt: expect.any(String) },
    },
    {
      table: 'ContactPoint',
      before: { memberId: absorbed.id, isPrimary: true },
      after: { memberId: survivor.id, isPrimary: false },
    },
    { table: 'FederatedIdentity', before: { memberId: absorbed.id }, after: { memberId: survivor.id } },
    { table: 'LinkConsent', before: { memberId: absorbed.id }, after: { memberId: survivor.id } },
    { table: 'Grant', before: null, after: { memberId: survivor.id, clientId: client.id } },
  ])
  expect(JSON.stringify(journal)).not.toContain('argon2')
})

test('the password goes on where the survivor has none', async () => {
  const [survivor, absorbed] = await givenTwo()
  await server.db.passwordCredential.delete({ where: { memberId: survivor.id } })
  await givenIdentity(server, { memberId: survivor.id, connectionId: shop })
  const { hash } = await server.db.passwordCredential.findUniqueOrThrow({ where: { memberId: absorbed.id } })
  await merge(server, survivor, absorbed)
  expect(await server.db.passwordCredential.findUnique({ where: { memberId: survivor.id } })).toMatchObject({
    hash,
  })
})

test('two accounts of one connection may come together; each is unlinked by itself, and a third is refused', async () => {
  const [survivor, absorbed] = await givenTwo()
  const own = await givenIdentity(server, { memberId: survivor.id, connectionId: shop })
  const came = await givenIdentity(server, { memberId: absorbed.id, connectionId: shop })
  await merge(server, survivor, absorbed)
  await expect(givenIdentity(server, { memberId: survivor.id, connectionId: shop })).rejects.toMatchObject({
    code: 'already_linked',
  })
  const browser = await signInTo(server, survivor)
  const form = await browser.open(`${server.issuer}/account/identities/${came.id}/unlink`)
  await browser.submit(form, '/unlink')
  const left = await server.db.federatedIdentity.findMany({ where: { memberId: survivor.id } })
  expect(left.map(({ id }) => id)).toEqual([own.id])
})

test('of one campaign there is one reward for both, and another account earns nothing after the merge', async () => {
  const [survivor, absorbed] = await givenTwo()
  const { db } = server
  const at = server.now()
  const campaigns = ['both-had', 'one-had'].map((id) => `${id}-${survivor.id}`)
  await db.campaign.createMany({
    data: campaigns.map((id) => ({
      ...{ id, connectionId: shop, name: {}, rewardLabel: {}, amount: 1, unit: 'point' },
      ...{ startsAt: at, endsAt: at, createdAt: at, updatedAt: at },
    })),
  })
  const reward = (campaignId: string | undefined, { id: memberId }: { id: string }) => ({
    ...{ campaignId: campaignId ?? '', memberId, issuer: 'https://upstream.example.com', grantedAt: at },
    ...{ subject: `account of ${memberId}`, consentId: randomUUID() },
  })
  await db.reward.createMany({
    data: [reward(campaigns[0], survivor), reward(campaigns[0], absorbed), reward(campaigns[1], absorbed)],
  })
  await merge(server, survivor, absorbed)
  const rewards = await db.reward.findMany({
    where: { campaignId: { in: campaigns } },
    orderBy: [{ campaignId: 'asc' }, { subject: 'asc' }],
  })
  const ofSurvivor = rewards.filter(({ memberId }) => memberId === survivor.id)
  expect(rewards).toHaveLength(3)
  expect(ofSurvivor.map(({ campaignId }) => campaignId).sort()).toEqual([...campaigns].sort())
})
