import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DomainEvent } from '../../src/events/event.ts'
import { claimDeliveries, recordEvent, recordEvents } from '../../src/events/outbox.ts'
import { type FunnelQuestion, readFunnel } from '../../src/linking/funnel/funnel.ts'
import {
  dayOf,
  eventOf,
  type FunnelRow,
  type Grouping,
  groupings,
  type Step,
  steps,
} from '../../src/linking/funnel/steps.ts'
import { trailOf, type Way, ways } from '../../src/linking/way.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { linkThrough, pressLink, signInTo } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let count = 0
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))

const today = () => dayOf(server.now())
const ask = (question: Partial<FunnelQuestion> & { connectionId: string }) =>
  readFunnel(server.db, { from: today(), to: today(), by: 'way', ...question }, server.now())
const lines = (rows: readonly FunnelRow[]) =>
  rows.map(({ key, ...row }) => [key, ...steps.map((it) => row[it])])

/** The same, counted one by one from what was recorded. */
async function recount(connectionId: string, by: Grouping, clientId?: string) {
  const events = await server.db.event.findMany({ orderBy: { position: 'asc' } })
  const trails = new Map<string, Record<string, unknown>>()
  const rows = new Map<string, Record<Step, number>>()
  for (const { type, memberId, occurredAt, data } of events) {
    const own = data as Record<string, unknown>
    const step = steps.find((it) => eventOf[it] === type)
    if (!step || own.connectionId !== connectionId) continue
    const link = `${memberId} ${own.identityId}`
    if (step === 'linked') trails.set(link, own)
    const trail = step === 'unlinked' ? (trails.get(link) ?? {}) : own
    if (clientId !== undefined && trail.clientId !== clientId) continue
    const keys = {
      day: dayOf(occurredAt),
      client: trail.clientId,
      campaign: trail.campaignId,
      way: trail.way,
    }
    const key = String(keys[by] ?? '')
    const row = rows.get(key) ?? (Object.fromEntries(steps.map((it) => [it, 0])) as Record<Step, number>)
    row[step] += step === 'shown' ? Number(own.shown ?? 1) : 1
    rows.set(key, row)
  }
  return [...rows]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, row]) => [key, ...steps.map((it) => row[it])])
}

describe('the funnel of links that really went', () => {
  test('counts every step once, also when the process died in the middle of telling of them', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await server.app.dispatcher.drain()
    await server.app.stop()

    upstream.behavior.subject = `shopper-${++count}`
    await browser.submit(await pressLink(server, browser, 'upstream'), '/decline')
    await linkThrough(server, browser, 'upstream')
    await browser.submit(
      await browser.open(`${server.issuer}/account/connections/upstream/unlink`),
      '/unlink',
    )
    // Somebody has taken the deliveries in hand and is gone; and one was told, but not ticked off.
    const claimed = await claimDeliveries(server.db, server.now(), 100)
    expect(claimed.length).toBeGreaterThan(1)
    await server.db.auditEntry.createMany({
      data: claimed.slice(0, 1).map(({ event: { id, type, memberId, data, occurredAt } }) => ({
        ...{ eventId: id, type, memberId: memberId ?? null, data, occurredAt, writtenAt: server.now() },
      })),
    })
    const before = await ask({ connectionId: 'upstream' })

    await server.restartAs({})
    server.advance(61)
    await server.app.dispatcher.drain()
    expect(await server.db.auditEntry.count()).toBe(await server.db.event.count())
    const after = await ask({ connectionId: 'upstream' })
    expect(after).toEqual(before)
    expect(lines(after.rows)).toEqual([['account_page', 0, 2, 2, 0, 1, 1, 1]])
    expect(lines(after.rows)).toEqual(await recount('upstream', 'way'))
  })
})

describe('any events', () => {
  let connectionId: string
  const clients = ['shop', 'app', undefined]
  const campaigns = ['spring', undefined]
  beforeAll(async () => {
    connectionId = (await givenConnection(server)).id
    const members = await Promise.all(Array.from({ length: 5 }, async () => (await givenMember(server)).id))
    const pick = <T>(list: readonly T[], at: number) => list[at % list.length] as T
    for (let at = 0; at < 600; at += 1) {
      const trail = trailOf({
        connectionId: at % 11 === 0 ? 'another' : connectionId,
        way: pick(ways, at * 7) as Way,
        ...(pick(clients, at * 5) && { clientId: pick(clients, at * 5) as string }),
        ...(pick(campaigns, at * 3) && { campaignId: pick(campaigns, at * 3) as string }),
      })
      const moment = new Date(server.now().getTime() - at * 3_700_000)
      await recordEvents(server.db, [anyEvent(pick(steps, at * 13), trail, pick(members, at), at)], moment)
    }
  })

  function anyEvent(
    step: Step,
    trail: ReturnType<typeof trailOf>,
    memberId: string,
    at: number,
  ): DomainEvent {
    const identityId = `${trail.connectionId} ${at % 9}`
    switch (step) {
      case 'shown':
        return { type: 'link.prompted', data: { ...trail, ...(at % 2 === 0 && { shown: 10 }) } }
      case 'unlinked':
        return {
          type: 'identity.unlinked',
          memberId,
          data: { connectionId: trail.connectionId, identityId, reason: 'member' },
        }
      case 'linked':
        return {
          type: 'identity.linked',
          memberId,
          data: { ...trail, identityId, consentId: 'consent', purpose: 'link' },
        }
      case 'conflict':
        return { type: 'link.conflict_found', memberId, data: { ...trail, conflictId: 'conflict' } }
      case 'consented':
        return { type: 'link.consented', memberId, data: { ...trail, consentId: 'consent' } }
      default:
        return { type: eventOf[step], memberId, data: trail }
    }
  }

  test.each(groupings.flatMap((by) => [undefined, 'shop'].map((clientId) => [by, clientId] as const)))(
    'are counted by %s, of the client %s, as one by one',
    async (by, clientId) => {
      const from = dayOf(new Date(server.now().getTime() - 40 * 86_400_000))
      const { rows, total } = await ask({ connectionId, by, from, ...(clientId && { clientId }) })
      const nothing = steps.map(() => 0).join()
      const counted = lines(rows).filter(([, ...numbers]) => numbers.join() !== nothing)
      expect(counted.length).toBeGreaterThan(0)
      expect(counted).toEqual(await recount(connectionId, by, clientId))
      expect(total.shown).toBe(rows.reduce((sum, row) => sum + row.shown, 0))
    },
  )
})

test('a day is a day in Japan, has a line also when nothing happened, and both ends are in', async () => {
  const { id: connectionId } = await givenConnection(server)
  const prompted = (at: string) =>
    recordEvent(server.db, { type: 'link.prompted', data: { connectionId, way: 'prompt' } }, new Date(at))
  await prompted('2026-03-31T14:59:59.999Z')
  await prompted('2026-03-31T15:00:00Z')
  await prompted('2026-04-03T14:59:59.999Z')
  await prompted('2026-04-03T15:00:00Z')
  const { rows } = await ask({ connectionId, by: 'day', from: '2026-04-01', to: '2026-04-03' })
  expect(rows.map(({ key, shown }) => [key, shown])).toEqual([
    ['2026-04-01', 1],
    ['2026-04-02', 0],
    ['2026-04-03', 1],
  ])
})

describe('the share of members who are linked', () => {
  const daysAgo = (days: number) => new Date(server.now().getTime() - days * 86_400_000)
  const day = (days: number) => dayOf(daysAgo(days))

  test('is that of now, and of the end of each day before', async () => {
    const { db } = server
    const { id: connectionId } = await givenConnection(server)
    const before = await db.member.count()
    await db.member.updateMany({ data: { createdAt: daysAgo(20) } })
    const at = (days: number) => ({ ...server, now: () => daysAgo(days) })
    const [early, late] = [await givenMember(at(10)), await givenMember(at(5))]
    await givenIdentity(at(8), { memberId: early.id, connectionId })
    const gone = await givenIdentity(at(4), { memberId: late.id, connectionId })
    await db.federatedIdentity.delete({ where: { id: gone.id } })
    const data = { connectionId, identityId: gone.id, reason: 'member' }
    await recordEvent(db, { type: 'identity.unlinked', memberId: late.id, data }, daysAgo(2))
    const suspended = await givenMember(at(3))
    await db.member.update({ where: { id: suspended.id }, data: { status: 'deleted' } })

    const { rows, share } = await ask({ connectionId, by: 'day', from: day(9), to: day(0) })
    const shares = Object.fromEntries(rows.map(({ key, share: it }) => [key, [it?.linked, it?.members]]))
    expect(shares).toMatchObject({
      [day(9)]: [0, before + 1],
      [day(8)]: [1, before + 1],
      [day(6)]: [1, before + 1],
      [day(5)]: [1, before + 2],
      [day(4)]: [2, before + 2],
      [day(3)]: [2, before + 2],
      [day(2)]: [1, before + 2],
      [day(0)]: [1, before + 2],
    })
    expect(share).toEqual({ linked: 1, members: before + 2 })
    const early9to8 = await ask({ connectionId, by: 'day', from: day(9), to: day(8) })
    expect(early9to8.rows.map(({ share: it }) => it?.linked)).toEqual([0, 1])
  })

  test('is among the members a client knows, from when it knows them', async () => {
    const { id: connectionId } = await givenConnection(server)
    const { id: clientId } = await givenClient(server)
    const at = (days: number) => ({ ...server, now: () => daysAgo(days) })
    const known = [await givenMember(at(9)), await givenMember(at(9)), await givenMember(at(9))]
    const stranger = await givenMember(at(9))
    for (const [index, member] of known.entries())
      await server.db.knownMember.create({
        data: { clientId, memberId: member.id, firstAt: daysAgo(6 - 2 * index) },
      })
    // Linked before the client knew them, and after; one it has never seen.
    for (const [index, member] of [known[1], known[0], stranger].entries())
      await givenIdentity(at([8, 3, 3][index] ?? 0), { memberId: member?.id ?? '', connectionId })

    const { rows, share } = await ask({ connectionId, clientId, by: 'day', from: day(7), to: day(1) })
    expect(rows.map(({ share: it }) => [it?.linked, it?.members])).toEqual([
      [0, 0],
      [0, 1],
      [0, 1],
      [1, 2],
      [2, 2],
      [2, 3],
      [2, 3],
    ])
    expect(share).toEqual({ linked: 2, members: 3 })
    await recordEvent(
      server.db,
      { type: 'link.started', data: { connectionId, way: 'client_request', clientId } },
      server.now(),
    )
    const byClient = await ask({ connectionId, by: 'client' })
    expect(byClient.rows.find(({ key }) => key === clientId)?.share).toEqual({ linked: 2, members: 3 })
  })
})

describe('hitotsu funnel', () => {
  const funnel = (...args: string[]) => hitotsu(['funnel', ...args], environmentOf(server))

  test.each([
    ['a day there is none of', ['--from', '2026-02-30'], 2, 'Give a day'],
    ['an end before its beginning', ['--from', '2026-02-02', '--to', '2026-02-01'], 2, 'must not be before'],
    ['more than a year', ['--from', '2024-01-01', '--to', '2026-02-01'], 2, 'at most 366 days'],
    ['a grouping there is none of', ['--by', 'member'], 2, 'Allowed choices are day, client, campaign, way'],
    ['two formats at once', ['--json', '--csv'], 2, 'cannot be used with'],
    ['a client there is none of', ['--client', 'nobody'], 1, 'there is no such client'],
    ['a connection there is none of', ['--connection', 'nothing'], 1, 'there is no such connection'],
  ])('refuses %s', async (_, args, code, words) => {
    const { status, stdout, stderr } = await funnel('--connection', 'upstream', ...args)
    expect([status, stdout, stderr]).toEqual([code, '', expect.stringContaining(words)])
  })

  test('prints text, JSON and CSV, in which an id that looks like a formula is none', async () => {
    const { id: connectionId } = await givenConnection(server)
    const clientId = '=1+1'
    const data = { connectionId, way: 'client_request' as const, clientId }
    await recordEvent(server.db, { type: 'link.started', data }, server.now())
    const text = await funnel('--connection', connectionId, '--by', 'client')
    expect(text.stdout).toMatch(/Linked now: 0 of \d+ members, 0\.0 %/)
    expect(text.stdout).toMatch(/=1\+1 +0 +1 +0/)
    const json = JSON.parse((await funnel('--connection', connectionId, '--json')).stdout)
    expect(json.rows).toHaveLength(30)
    expect(json.rows.at(-1)).toMatchObject({ key: today(), started: 1, share: { linked: 0 } })
    const { stdout } = await funnel('--connection', connectionId, '--by', 'client', '--csv')
    expect(stdout).toBe(
      'client,shown,started,proved,conflict,consented,linked,unlinked,members_linked,members,link_rate\r\n' +
        "'=1+1,0,1,0,0,0,0,0,,,\r\n",
    )
  })
})
