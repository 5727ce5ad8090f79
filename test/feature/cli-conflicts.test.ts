import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openConflict, raiseConflict } from '../../src/linking/conflict/conflict.ts'
import type { LinkConflict } from '../../src/store/generated/client.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, typesOf } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'upstream' })
})
afterAll(() => server.close())

let count = 0
let owner: GivenMember
let claimant: GivenMember
let conflict: LinkConflict
beforeEach(async () => {
  owner = await givenMember(server, { name: 'Hanako Suzuki' })
  claimant = await givenMember(server, { name: 'Hanako Suzuki' })
  const linked = await givenIdentity(server, {
    memberId: owner.id,
    connectionId: 'upstream',
    subject: `claimed-${++count}`,
  })
  const { connectionId, issuer, subject } = linked
  const contest = { connectionId, issuer, subject, ownerId: owner.id, claimantId: claimant.id }
  const trail = { connectionId, way: 'link_ticket' as const }
  conflict = await openConflict(server.db, contest, trail, server.now())
})

const conflicts = (...args: string[]) => hitotsu(['conflicts', ...args], environmentOf(server))
const decide = (how: string[], id = conflict.id) =>
  conflicts('decide', id, ...how, '--as', 'sato', '--note', 'receipts of both seen')
const refused = (words: string) => ({ status: 1, stdout: '', stderr: expect.stringContaining(words) })
const nothing = { rows: {}, events: [] }
const stored = () => server.db.linkConflict.findUniqueOrThrow({ where: { id: conflict.id } })
const holder = async () =>
  (await server.db.federatedIdentity.findFirst({ where: { subject: `claimed-${count}` } }))?.memberId

describe('conflicts decide', () => {
  test('needs one choice, who decides and why, and changes nothing without', async () => {
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all([
        decide([]),
        decide(['--keep', '--move']),
        decide(['--move', '--survivor', 'owner']),
        decide(['--merge', '--survivor', 'both']),
        conflicts('decide', conflict.id, '--keep', '--as', 'member', '--note', 'why'),
        conflicts('decide', conflict.id, '--keep', '--as', 'sato', '--note', ' '),
        conflicts('decide', conflict.id, '--keep', '--as', 'sato'),
      ]),
    )
    expect(result.map(({ status }) => status)).toEqual([2, 2, 2, 2, 2, 2, 2])
    expect(changes).toEqual(nothing)
  })

  test('refuses one there is not, and one that is decided', async () => {
    expect(await decide(['--keep'], '0198c1d2-0000-7000-8000-000000000000')).toEqual(
      refused('no such conflict'),
    )
    expect(await decide(['--keep'], 'nonsense')).toEqual(refused('no such conflict'))
    await decide(['--keep'])
    const { result, ...changes } = await changesOf(server, () => decide(['--move']))
    expect(result).toEqual(refused('decided already'))
    expect(changes).toEqual(nothing)
  })

  test.each([
    ['kept', '--keep', 2],
    ['dismissed', '--dismiss', 1],
  ] as const)('%s moves nothing, and records who and why', async (outcome, option, told) => {
    const changes = await changesOf(server, () => decide([option]))
    expect(changes.result).toMatchObject({ status: 0, stdout: `Decided ${conflict.id}: ${outcome}.\n` })
    expect(changes.rows).toEqual({ LinkConflict: '~1' })
    expect(typesOf(changes)).toEqual(Array(told).fill('link.conflict_decided'))
    const kept = { outcome, decidedBy: 'sato', note: 'receipts of both seen', open: null }
    expect(await stored()).toMatchObject(kept)
    expect(JSON.stringify(changes.events)).not.toContain('receipts')
    await mailTo(server, claimant.email, /The link is as it was/)
    const toOwner = server.inbox.messages().filter(({ to }) => to.includes(owner.email))
    expect(toOwner.filter(({ text }) => text.includes('The link is as it was'))).toHaveLength(told - 1)
  })

  test('moved gives the account to who claims it, without tokens, and tells both', async () => {
    const changes = await changesOf(server, () => decide(['--move', '--json']))
    expect(JSON.parse(changes.result.stdout)).toEqual({
      id: conflict.id,
      outcome: 'moved',
      decidedBy: 'sato',
    })
    expect(await holder()).toBe(claimant.id)
    expect(changes.rows).toEqual({
      FederatedIdentity: '~1',
      LinkConsent: '+1 ~1',
      UpstreamToken: '-1',
      LinkConflict: '~1',
    })
    const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: claimant.id } })
    // The claimant can read it, so it says nothing of what the operator wrote about the two.
    expect(consent.place).toEqual({ statement: `Moved by an operator: conflict ${conflict.id}` })
    await mailTo(server, owner.email, /now linked to another one/)
    await mailTo(server, claimant.email, /It is now linked to yours/)
  })

  test('never moves the last way in of who holds it, who may be merged instead', async () => {
    await server.db.passwordCredential.delete({ where: { memberId: owner.id } })
    const { result, ...changes } = await changesOf(server, () => decide(['--move']))
    expect(result).toEqual(refused('could not sign in any more'))
    expect(changes).toEqual(nothing)
    expect(await decide(['--merge', '--survivor', 'owner'])).toMatchObject({ status: 0 })
    const merge = await server.db.merge.findFirstOrThrow({ where: { survivorId: owner.id } })
    expect(merge).toMatchObject({
      absorbedId: claimant.id,
      decidedBy: 'sato',
      reason: 'receipts of both seen',
    })
    expect(await stored()).toMatchObject({ outcome: 'merged' })
  })

  test.each([
    ['the claimant is suspended', '--move', () => suspend(claimant), 'not active'],
    ['the owner is suspended', '--merge', () => suspend(owner), 'not active'],
    ['the account was unlinked', '--move', () => unlinked(), 'not with that member any more'],
    ['the claimant has another account of the connection', '--move', () => another(), 'has another one'],
  ])('is refused where %s (%s)', async (_, option, given, words) => {
    await given()
    const { result, ...changes } = await changesOf(server, () => decide([option]))
    expect(result).toEqual(refused(words))
    expect(changes).toEqual(nothing)
  })

  test('by two operators at once, one decides', async () => {
    const changes = await changesOf(server, () => Promise.all([decide(['--move']), decide(['--keep'])]))
    expect(changes.result.map(({ status }) => status).sort()).toEqual([0, 1])
    expect(new Set(typesOf(changes).filter((type) => type === 'identity.moved')).size).toBeLessThan(2)
    expect(typesOf(changes).filter((type) => type === 'link.conflict_decided')).toHaveLength(2)
  })
})

const suspend = ({ id }: GivenMember) =>
  server.db.member.update({ where: { id }, data: { status: 'suspended' } })
const unlinked = () => server.db.federatedIdentity.deleteMany({ where: { memberId: owner.id } })
const another = () => givenIdentity(server, { memberId: claimant.id, connectionId: 'upstream' })

describe('conflicts list', () => {
  test('names those that members have asked about, the oldest first, and all of them when told so', async () => {
    const ids = async (...options: string[]) =>
      (JSON.parse((await conflicts('list', '--json', ...options)).stdout) as { id: string }[]).map(
        ({ id }) => id,
      )
    expect(await ids()).not.toContain(conflict.id)
    expect(await ids('--open')).toContain(conflict.id)
    await raiseConflict(server.db, conflict, server.now())
    const raised = await ids()
    expect(raised.at(-1)).toBe(conflict.id)
    expect((await conflicts('list')).stdout).toContain(claimant.id)
    await decide(['--keep'])
    expect(await ids('--open')).not.toContain(conflict.id)
    expect((await ids('--all'))[0]).toBe(conflict.id)
  })
})

describe('conflicts show', () => {
  test('shows both members, what they have in common, and what was decided', async () => {
    expect(await conflicts('show', 'nonsense')).toEqual(refused('there is no conflict nonsense'))
    await decide(['--move'])
    const { stdout } = await conflicts('show', conflict.id)
    for (const words of [
      owner.email,
      claimant.email,
      'moved',
      'by sato',
      'receipts of both seen',
      'the claimant',
    ])
      expect(stdout).toContain(words)
    expect(stdout).toMatch(/in common +name/)
    const view = JSON.parse((await conflicts('show', conflict.id, '--json')).stdout)
    expect(view).toMatchObject({
      conflict: { id: conflict.id, outcome: 'moved', decidedBy: 'sato' },
      heldBy: claimant.id,
      owner: { id: owner.id },
      claimant: { id: claimant.id },
      inCommon: ['name'],
      agreements: [{ memberId: owner.id }, { memberId: claimant.id }],
    })
  })
})
