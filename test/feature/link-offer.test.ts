import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { ask, givenParty } from '../support/consent.ts'
import { type GivenMember, givenCampaign, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo, typesOf } from '../support/linking.ts'
import type { RelyingParty } from '../support/relying-party.ts'
import { redeem } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let shop: RelyingParty
let count = 0
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream', name: { ja: '通販', en: 'Web Shop' } })
  await server.db.connection.update({ where: { id: 'upstream' }, data: { promptAfterSignIn: true } })
  shop = await givenParty(server, { connections: ['upstream'] })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
  upstream.behavior.decline = false
})

const offerPage = /^\/interaction\/[\w-]+\/link-offer$/
const isAtShop = ({ url }: Page, party = shop) => url.href.startsWith(party.redirectUri)

/** Signs in at the relying party, in a new browser if none is given. */
const enter = (member: GivenMember, parameters = {}, browser = openBrowser('en'), party = shop) =>
  ask(party, browser, parameters, member).then((asked) => ({ ...asked, browser }))

/** From a page of ours to the relying party's, agreeing to what it may see. */
async function goOn(browser: Browser, page: Page): Promise<Page> {
  return page.url.pathname.endsWith('/consent') ? browser.submit(page, '/consent') : page
}

describe('a member who has signed in', () => {
  test('is asked once, links, and arrives where they were going', async () => {
    const campaignId = await givenCampaign(server, { connectionId: 'upstream' })
    const member = await givenMember(server)
    const { page, browser, attempt } = await enter(member)
    expect(page.url.pathname).toMatch(offerPage)
    expect(page.html).toContain('Link your Web Shop account?')
    expect(page.html).toContain('100 points')
    const confirm = await browser.submit(page, '/link-offer/accept')
    expect(confirm.url.pathname).toMatch(/^\/link\//)
    const changes = await changesOf(server, () => browser.submit(confirm, '/agree'))
    expect(typesOf(changes)).toEqual(['identity.linked', 'reward.granted', 'member.signed_in'])
    const data = { way: 'prompt', clientId: shop.id, campaignId }
    expect(changes.events[0]).toMatchObject({ memberId: member.id, data })
    const answer = await goOn(browser, changes.result)
    expect((await redeem(shop, answer.url, attempt)).claims()?.sub).toBe(member.id)
    const steps = await server.db.event.findMany({
      where: { memberId: member.id, type: { startsWith: 'link.' } },
      orderBy: { position: 'asc' },
    })
    expect(steps.map(({ type }) => type)).toEqual([
      'link.prompted',
      'link.started',
      'link.proved',
      'link.consented',
    ])
    await server.db.campaign.update({ where: { id: campaignId }, data: { disabledAt: server.now() } })
  })

  test.each([
    ['says not now', '/link-offer/later'],
    ['says never', '/link-offer/never'],
  ])('and %s goes on at once, and is not asked at the next sign-in', async (_, action) => {
    const member = await givenMember(server)
    const { page, browser, attempt } = await enter(member)
    const answer = await goOn(browser, await browser.submit(page, action))
    expect((await redeem(shop, answer.url, attempt)).claims()?.sub).toBe(member.id)
    expect(isAtShop((await enter(member)).page)).toBe(true)
    const longAgo = new Date(server.now().getTime() - 31 * 86_400_000)
    await server.db.linkPrompt.updateMany({ where: { memberId: member.id }, data: { lastShownAt: longAgo } })
    expect(offerPage.test((await enter(member)).page.url.pathname)).toBe(action.endsWith('later'))
  })

  test('and reloads the page sees it again, and is counted once', async () => {
    const member = await givenMember(server)
    const { page, browser } = await enter(member)
    expect((await browser.open(page.url)).html).toContain('Link your Web Shop account?')
    const shown = { memberId: member.id, type: 'link.prompted' }
    expect(await server.db.event.count({ where: shown })).toBe(1)
  })

  test.each([
    [
      'declines at the upstream',
      async () => {
        upstream.behavior.decline = true
      },
    ],
    [
      'finds the connection switched off',
      async () => {
        await server.db.connection.update({ where: { id: 'upstream' }, data: { disabledAt: server.now() } })
      },
    ],
  ])('and %s goes on without a link', async (_, prepare) => {
    const member = await givenMember(server)
    const { page, browser, attempt } = await enter(member)
    await prepare()
    const answer = await goOn(browser, await browser.submit(page, '/link-offer/accept'))
    await server.db.connection.update({ where: { id: 'upstream' }, data: { disabledAt: null } })
    expect((await redeem(shop, answer.url, attempt)).claims()?.sub).toBe(member.id)
    expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(0)
  })

  test('links what is for linking only as well', async () => {
    await server.db.connection.update({ where: { id: 'upstream' }, data: { allowSignIn: false } })
    const member = await givenMember(server)
    const { page, browser } = await enter(member)
    const confirm = await browser.submit(page, '/link-offer/accept')
    await browser.submit(confirm, '/agree')
    await server.db.connection.update({ where: { id: 'upstream' }, data: { allowSignIn: true } })
    expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(1)
  })

  test('whose account belongs to somebody else learns so, and nothing moves', async () => {
    const owner = await givenMember(server)
    const { issuer } = upstream
    await givenIdentity(server, {
      ...{ memberId: owner.id, connectionId: 'upstream', issuer, subject: `shopper-${count}` },
    })
    const { page, browser } = await enter(await givenMember(server))
    const { result, rows } = await changesOf(server, () => browser.submit(page, '/link-offer/accept'))
    expect(result.url.pathname).toMatch(/^\/link\/|conflict/)
    expect(rows.FederatedIdentity).toBeUndefined()
  })
})

describe('nobody is asked', () => {
  const goesOn = async (member: GivenMember, parameters = {}, party = shop) => {
    const { page, browser } = await enter(member, parameters, undefined, party)
    expect(page.url.pathname).not.toMatch(offerPage)
    return goOn(browser, page)
  }

  test.each([
    ['where a fresh proof was asked for', { prompt: 'login' }],
    ['where a recent one was asked for', { max_age: '60' }],
  ])('%s', async (_, parameters) => {
    expect(isAtShop(await goesOn(await givenMember(server), parameters))).toBe(true)
  })

  test('who is linked', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    expect(isAtShop(await goesOn(member))).toBe(true)
  })

  test('for a connection the client has nothing to do with, or that does not ask', async () => {
    const other = await givenParty(server)
    expect(isAtShop(await goesOn(await givenMember(server), {}, other), other)).toBe(true)
    await server.db.connection.update({ where: { id: 'upstream' }, data: { promptAfterSignIn: false } })
    expect(isAtShop(await goesOn(await givenMember(server)))).toBe(true)
    await server.db.connection.update({ where: { id: 'upstream' }, data: { promptAfterSignIn: true } })
  })

  test('at our own pages', async () => {
    await signInTo(server, await givenMember(server))
  })

  test('by a request without a page (prompt=none)', async () => {
    const member = await givenMember(server)
    const { page, browser } = await enter(member)
    await goOn(browser, await browser.submit(page, '/link-offer/later'))
    await server.db.linkPrompt.deleteMany({ where: { memberId: member.id } })
    const silent = await ask(shop, browser, { prompt: 'none' })
    expect(isAtShop(silent.page)).toBe(true)
    expect(silent.page.url.searchParams.get('code')).toBeTruthy()
  })

  test('in the interaction of another browser', async () => {
    const { page } = await enter(await givenMember(server))
    const { status } = await openBrowser('en').open(page.url)
    expect(status).toBe(400)
  })
})
