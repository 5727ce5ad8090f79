import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableCampaign } from '../../src/linking/campaigns/campaign.ts'
import { openDb } from '../../src/store/db.ts'
import type { Page } from '../support/browser.ts'
import {
  type GivenMember,
  givenCampaign,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { changesOf, linkThrough, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let count = 0
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream', name: { ja: '通販', en: 'Web Shop' } })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
  await server.db.campaign.updateMany({ data: { disabledAt: server.now() } })
})

const offered = 'For linking for the first time you get: 100 points'
const earned = 'You have earned the reward for linking: 100 points.'
const rewardsOf = (member: GivenMember) => server.db.reward.count({ where: { memberId: member.id } })
const grantedOf = async (id: string) =>
  (await server.db.campaign.findUniqueOrThrow({ where: { id } })).granted

async function unlink(browser: Awaited<ReturnType<typeof signInTo>>): Promise<Page> {
  const page = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
  return browser.submit(page, '/unlink')
}

describe('a member who links in a campaign', () => {
  test('is promised the reward before, gets it with the link, and finds it listed', async () => {
    const campaignId = await givenCampaign(server, { connectionId: 'upstream', budget: 5 })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    expect((await browser.open(`${server.issuer}/account`)).html).toContain('100 points')
    const confirm = await pressLink(server, browser, 'upstream')
    expect(confirm.html).toContain(offered)
    const changes = await changesOf(server, () => browser.submit(confirm, '/agree'))
    expect(changes.rows).toMatchObject({ FederatedIdentity: '+1', Reward: '+1' })
    expect(typesOf(changes)).toEqual(['identity.linked', 'reward.granted'])
    const reward = await server.db.reward.findFirstOrThrow({ where: { memberId: member.id } })
    const event = changes.events.find(({ type }) => type === 'reward.granted')
    expect(event).toEqual({
      type: 'reward.granted',
      memberId: member.id,
      data: { rewardId: reward.id, campaignId, connectionId: 'upstream', amount: 100, unit: 'point' },
    })
    expect(changes.result.html).toContain(earned)
    const later = await browser.open(`${server.issuer}/account`)
    expect(later.html).not.toContain(earned)
    expect(later.html).toContain('Rewards for linking')
    expect(await grantedOf(campaignId)).toBe(1)
  })

  test('reads of it in Japanese as well', async () => {
    await givenCampaign(server, { connectionId: 'upstream' })
    const browser = await signInTo(server, await givenMember(server, { locale: 'ja' }), visitor('ja'))
    expect((await pressLink(server, browser, 'upstream')).html).toContain(
      'はじめての連携で「100ポイント」を進呈します',
    )
  })

  test('is counted under it at every step', async () => {
    const campaignId = await givenCampaign(server, { connectionId: 'upstream' })
    const member = await givenMember(server)
    await linkThrough(server, await signInTo(server, member), 'upstream')
    const events = await server.db.event.findMany({
      where: { memberId: member.id, data: { path: ['campaignId'], equals: campaignId } },
      orderBy: { position: 'asc' },
    })
    expect(events.map(({ type }) => type)).toEqual([
      'link.started',
      'link.proved',
      'link.consented',
      'identity.linked',
      'reward.granted',
    ])
  })
})

describe('nothing is earned, and nothing promised,', () => {
  test.each([
    ['before it starts', 3_600_000, 7_200_000],
    ['after it ends', -7_200_000, -3_600_000],
  ])('%s', async (_, starts, ends) => {
    const at = (ms: number) => new Date(server.now().getTime() + ms)
    await givenCampaign(server, { connectionId: 'upstream', startsAt: at(starts), endsAt: at(ends) })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    expect((await browser.open(`${server.issuer}/account`)).html).not.toContain('100 points')
    expect((await linkThrough(server, browser, 'upstream')).html).not.toContain('100 points')
    expect(await rewardsOf(member)).toBe(0)
  })

  test('for another connection', async () => {
    await givenCampaign(server, { connectionId: (await givenConnection(server)).id })
    const member = await givenMember(server)
    await linkThrough(server, await signInTo(server, member), 'upstream')
    expect(await rewardsOf(member)).toBe(0)
  })

  test('by unlinking and linking again', async () => {
    const campaignId = await givenCampaign(server, { connectionId: 'upstream' })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await linkThrough(server, browser, 'upstream')
    const unlinked = await unlink(browser)
    expect(unlinked.html).not.toContain('until')
    const confirm = await pressLink(server, browser, 'upstream')
    expect(confirm.html).not.toContain('100 points')
    const again = await browser.submit(confirm, '/agree')
    expect(again.html).not.toContain(earned)
    expect([await rewardsOf(member), await grantedOf(campaignId)]).toEqual([1, 1])
  })

  test.each([
    ['the same account', () => count],
    ['another account', () => ++count],
  ])('by unlinking what was linked before the campaign and linking %s', async (_, next) => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await linkThrough(server, browser, 'upstream')
    await givenCampaign(server, { connectionId: 'upstream' })
    await unlink(browser)
    upstream.behavior.subject = `shopper-${next()}`
    await linkThrough(server, browser, 'upstream')
    expect(await rewardsOf(member)).toBe(0)
  })

  test('with a second account of the same member', async () => {
    await givenCampaign(server, { connectionId: 'upstream' })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await linkThrough(server, browser, 'upstream')
    await unlink(browser)
    upstream.behavior.subject = `shopper-${++count}`
    await linkThrough(server, browser, 'upstream')
    expect(await rewardsOf(member)).toBe(1)
  })

  test('with an account that another member had linked; the page says why before it is agreed to', async () => {
    await givenCampaign(server, { connectionId: 'upstream' })
    const first = await givenMember(server)
    const browser = await signInTo(server, first)
    await linkThrough(server, browser, 'upstream')
    await unlink(browser)
    await server.db.formerIdentity.deleteMany({})
    const second = await givenMember(server)
    const other = await signInTo(server, second)
    expect((await other.open(`${server.issuer}/account`)).html).toContain('100 points')
    const confirm = await pressLink(server, other, 'upstream')
    expect(confirm.html).toContain('has been linked before, so there is no reward')
    await other.submit(confirm, '/agree')
    expect([await rewardsOf(first), await rewardsOf(second)]).toEqual([1, 0])
  })

  test('by whoever goes on in a member that was merged, until the merge is undone', async () => {
    await givenCampaign(server, { connectionId: 'upstream' })
    const [survivor, middle, absorbed] = await Promise.all([1, 2, 3].map(() => givenMember(server)))
    if (!survivor || !middle || !absorbed) throw new Error('three members')
    await givenIdentity(server, { memberId: absorbed.id, connectionId: 'upstream' })
    const merge = (survivorId: string, absorbedId: string) =>
      server.db.merge.create({
        data: {
          survivorId,
          absorbedId,
          decidedBy: 'member',
          mergedAt: server.now(),
          undoUntil: server.now(),
        },
      })
    await merge(middle.id, absorbed.id)
    const last = await merge(survivor.id, middle.id)
    const browser = await signInTo(server, survivor)
    const merged = await browser.open(`${server.issuer}/account`)
    expect(merged.html).not.toContain('until')
    // What the absorbed member has earned is shown to the one who goes on in them.
    expect(merged.html).toContain('Rewards for linking')
    await linkThrough(server, browser, 'upstream')
    expect(await rewardsOf(survivor)).toBe(0)

    await server.db.merge.update({ where: { id: last.id }, data: { undoneAt: server.now() } })
    const page = await browser.open(`${server.issuer}/account`)
    expect(page.html).not.toContain('Rewards for linking')
  })
})

describe('what was promised and is over by then', () => {
  test.each([
    [
      'because others were faster',
      (id: string) => server.db.campaign.update({ where: { id }, data: { granted: 5 } }),
      'All rewards of the campaign you were told of have been given.',
    ],
    [
      'because an operator ended it',
      (id: string) => disableCampaign(server.db, id, server.now()),
      'The campaign you were told of is over.',
    ],
  ])('is told on the page that asks, and the link is made without it: %s', async (_, end, words) => {
    const id = await givenCampaign(server, { connectionId: 'upstream', budget: 5 })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    browser.stopAt(`${server.issuer}/link/`)
    const { url } = await pressLink(server, browser, 'upstream')
    browser.stopAt(undefined)
    await end(id)
    const page = await browser.open(url)
    expect(page.html).toContain(words)
    expect(page.html).not.toContain(offered)
    const linked = await browser.submit(page, '/agree')
    expect(linked.html).toContain('there is no reward (100 points). Your account is linked.')
    expect(await rewardsOf(member)).toBe(0)
  })

  test('between page and agreement is told after it: the link stands', async () => {
    const id = await givenCampaign(server, { connectionId: 'upstream', budget: 1 })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await pressLink(server, browser, 'upstream')
    expect(page.html).toContain(offered)
    await givenIdentity(server, { memberId: (await givenMember(server)).id, connectionId: 'upstream' })
    const changes = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
    expect(changes.result.html).toContain('there is no reward (100 points). Your account is linked.')
    expect([await rewardsOf(member), await grantedOf(id)]).toEqual([0, 1])
  })
})

describe('of links that race, in two processes,', () => {
  const poolSize = 8
  async function race(links: (() => { memberId: string; subject: string })[], connectionId: string) {
    const { DATABASE_URL = '' } = server.config
    const processes = [openDb(DATABASE_URL, poolSize), openDb(DATABASE_URL, poolSize)]
    const results: PromiseSettledResult<unknown>[] = []
    const waiting = links.map((link, at) => async () => {
      const db = processes[at % 2]
      if (!db) throw new Error('no process')
      const [result] = await Promise.allSettled([
        givenIdentity({ ...server, db }, { ...link(), connectionId }),
      ])
      if (result) results.push(result)
    })
    const worker = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await next()
    }
    await Promise.all(Array.from({ length: 2 * poolSize }, worker))
    await Promise.all(processes.map((db) => db.$disconnect()))
    return results
  }

  test('as many are rewarded as there is budget, and all are made', { timeout: 60_000 }, async () => {
    const { id: connectionId } = await givenConnection(server)
    const campaignId = await givenCampaign(server, { connectionId, budget: 10 })
    const members = await Promise.all(Array.from({ length: 100 }, () => givenMember(server)))
    const results = await race(
      members.map(({ id }, at) => () => ({ memberId: id, subject: `racer-${at}` })),
      connectionId,
    )
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(await server.db.federatedIdentity.count({ where: { connectionId } })).toBe(100)
    expect(await server.db.reward.count({ where: { campaignId } })).toBe(10)
    expect(await grantedOf(campaignId)).toBe(10)
    const told = { type: 'reward.granted', data: { path: ['campaignId'], equals: campaignId } }
    expect(await server.db.event.count({ where: told })).toBe(10)
  })

  test('one account wanted by many earns once', async () => {
    const { id: connectionId } = await givenConnection(server)
    const campaignId = await givenCampaign(server, { connectionId })
    const members = await Promise.all(Array.from({ length: 8 }, () => givenMember(server)))
    const results = await race(
      members.map(({ id }) => () => ({ memberId: id, subject: 'wanted' })),
      connectionId,
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect([await server.db.reward.count({ where: { campaignId } }), await grantedOf(campaignId)]).toEqual([
      1, 1,
    ])
  })

  test('one member who links many accounts at once earns once', async () => {
    const { id: connectionId } = await givenConnection(server)
    const campaignId = await givenCampaign(server, { connectionId })
    const { id: memberId } = await givenMember(server)
    await race(
      Array.from({ length: 8 }, (_, at) => () => ({ memberId, subject: `own-${at}` })),
      connectionId,
    )
    expect([await server.db.reward.count({ where: { campaignId } }), await grantedOf(campaignId)]).toEqual([
      1, 1,
    ])
  })
})
