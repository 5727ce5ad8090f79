import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser, Page } from '../support/browser.ts'
import { everything, givenAllowed, givenParty } from '../support/consent.ts'
import { type GivenClient, givenCampaign, givenClient, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let shop: GivenClient
let count = 0
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream', name: { ja: '通販', en: 'Web Shop' } })
  shop = await givenShop()
})
afterAll(() => Promise.all([server.close(), upstream.close()]))
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
})

const givenShop = () =>
  givenClient(server, {
    id: `shop-${++count}`,
    connections: ['upstream'],
    clientUri: `https://shop-${count}.example.com/`,
  })
const homeOf = ({ id }: GivenClient) => `https://${id}.example.com/`

/** Where `/prompt` leads; the relying party's own pages are not visited. */
async function open(browser: Browser, { id }: GivenClient, more: Record<string, string> = {}): Promise<Page> {
  browser.stopAt(`https://${id}.example.com/`)
  const query = new URLSearchParams({ client: id, connection: 'upstream', ...more })
  return browser.open(`${server.issuer}/prompt?${query}`)
}

const promptedOf = (memberId: string) =>
  server.db.event.findMany({ where: { memberId, type: 'link.prompted' }, select: { data: true } })

describe('who is sent to the prompt', () => {
  test('and is unknown or not linked is asked, by name of who asks', async () => {
    const page = await open(visitor(), shop)
    expect(page.html).toContain('Link your Web Shop account?')
    expect(page.html).toContain(`Shop ${shop.id}`)
    const member = await givenMember(server)
    const known = await open(await signInTo(server, member), shop)
    expect(known.html).toContain('Link your Web Shop account?')
    expect(await promptedOf(member.id)).toEqual([
      { data: { connectionId: 'upstream', way: 'prompt', clientId: shop.id } },
    ])
  })

  test('links with one press, and comes back to a page that leads to where they were', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const offer = await open(browser, shop, { return_to: `${homeOf(shop)}cart` })
    const confirm = await browser.submit(offer, linkUrl(offer))
    const { result, events } = await changesOf(server, () => browser.submit(confirm, '/agree'))
    expect(result.url.pathname).toBe('/prompt/done')
    expect(result.html).toContain('Web Shop is now linked.')
    expect(result.html).toContain(`href="${homeOf(shop)}cart"`)
    expect(events).toMatchObject([
      { type: 'identity.linked', memberId: member.id, data: { way: 'prompt', clientId: shop.id } },
    ])
  })

  test('and declines is told so, with the same way back', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const offer = await open(browser, shop)
    const page = await browser.submit(await browser.submit(offer, linkUrl(offer)), '/decline')
    expect(page.html).toContain('You did not link Web Shop.')
    expect(page.html).toContain(`href="${homeOf(shop)}"`)
  })

  test('without being signed in signs in, and goes on without being asked a second time', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const offer = await open(browser, shop)
    const signIn = await browser.submit(offer, linkUrl(offer))
    const { email, password } = member
    const page = await browser.submit(signIn, '/sign-in', { email, password })
    expect(page.url.pathname).toMatch(/^\/link\//)
    expect(page.html).toContain('/agree"')
  })

  test('from a button that was pressed is not asked once more', async () => {
    const member = await givenMember(server)
    const page = await open(await signInTo(server, member), shop, { shown: '1' })
    expect(page.url.pathname).toMatch(/^\/link\//)
    expect(await promptedOf(member.id)).toEqual([])
  })

  test('reads of the reward, earns it, and is told', async () => {
    const campaignId = await givenCampaign(server, { connectionId: 'upstream' })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const offer = await open(browser, shop)
    expect(offer.html).toContain('100 points')
    const confirm = await browser.submit(offer, linkUrl(offer))
    const done = await browser.submit(confirm, '/agree')
    expect(done.html).toContain('You have earned the reward for linking: 100 points.')
    expect(await promptedOf(member.id)).toMatchObject([{ data: { campaignId } }])
    await server.db.campaign.update({ where: { id: campaignId }, data: { disabledAt: server.now() } })
  })

  test('reads it in Japanese, and may reload or change the language without being sent away', async () => {
    const browser = await signInTo(server, await givenMember(server), visitor('ja'))
    const page = await open(browser, shop)
    expect(page.html).toContain('通販のアカウントを連携しませんか？')
    const again = await browser.open(page.url)
    expect(again.html).toContain('通販のアカウントを連携しませんか？')
    expect((await browser.submit(again, '/locale')).html).toContain('Link your Web Shop account?')
  })
})

/** The address of the form whose button links. */
function linkUrl({ html }: Page): string {
  const found = /action="(\/prompt\/link[^"]*)"/.exec(html)?.[1] ?? ''
  return found.replaceAll('&amp;', '&')
}

describe('who goes straight back', () => {
  test('is a member who was asked, until so many days have passed', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await open(browser, shop)
    expect((await open(browser, shop)).url.href).toBe(homeOf(shop))
    const other = await givenShop()
    expect((await open(browser, other)).url.href).toBe(homeOf(other))
    expect(await promptedOf(member.id)).toHaveLength(1)
    const longAgo = new Date(server.now().getTime() - 30 * 86_400_000)
    await server.db.linkPrompt.updateMany({ where: { memberId: member.id }, data: { lastShownAt: longAgo } })
    expect((await open(browser, shop)).html).toContain('Link your Web Shop account?')
    const row = await server.db.linkPrompt.findFirstOrThrow({ where: { memberId: member.id } })
    expect(row.shown).toBe(2)
  })

  test('is a member who does not want to be asked, for good', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await open(browser, shop)
    const path = /action="(\/prompt\/never[^"]*)"/.exec(page.html)?.[1]?.replaceAll('&amp;', '&') ?? ''
    expect((await browser.submit(page, path)).url.href).toBe(homeOf(shop))
    const longAgo = new Date(server.now().getTime() - 400 * 86_400_000)
    await server.db.linkPrompt.updateMany({ where: { memberId: member.id }, data: { lastShownAt: longAgo } })
    expect((await open(browser, shop)).url.href).toBe(homeOf(shop))
  })

  test('is a browser of somebody unknown that was asked today', async () => {
    const browser = visitor()
    await open(browser, shop)
    expect((await open(browser, shop)).url.href).toBe(homeOf(shop))
  })

  test('is a linked member who has let this client see the link, and no other linked member', async () => {
    const party = await givenParty(server, {
      id: `party-${++count}`,
      connections: ['upstream'],
      clientUri: `https://party-${count}.example.com/`,
    })
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    const stranger = await open(await signInTo(server, member), shop)
    expect(stranger.html).toContain('Your Web Shop account is linked already')
    const { browser } = await givenAllowed(party, member, { scope: everything })
    expect((await open(browser, party)).url.href).toBe(homeOf(party))
    expect(await promptedOf(member.id)).toEqual([])
  })
})

test('of visits in many tabs and two processes at once one is shown, and counted', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await server.restartAs({}, {})
  const query = new URLSearchParams({ client: shop.id, connection: 'upstream' })
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => browser.request(`${server.issuer}/prompt?${query}`)),
  )
  const places = answers.map((answer) => answer.headers.get('location') ?? '')
  expect(places.filter((place) => place.startsWith('/prompt/offer'))).toHaveLength(1)
  expect(places.filter((place) => place === homeOf(shop))).toHaveLength(7)
  expect(await promptedOf(member.id)).toHaveLength(1)
})

describe('nobody is asked', () => {
  test.each([
    ['for a client there is none of', { client: 'nobody' }, 400],
    ['for a connection there is none of', { connection: 'nothing' }, 404],
    ['for what is no id at all', { client: 'a\nb' }, 400],
  ])('%s', async (_, parameters, status) => {
    const page = await open(visitor(), shop, parameters)
    expect(page.status).toBe(status)
  })

  test('for a client that may not see links of the connection, or is disabled', async () => {
    const other = await givenClient(server)
    expect((await open(visitor(), other)).status).toBe(404)
    const blind = await givenShop()
    await server.db.clientConnection.updateMany({ where: { clientId: blind.id }, data: { discloses: false } })
    expect((await open(visitor(), blind)).status).toBe(404)
    const gone = await givenShop()
    await inTransaction(server.db, (tx) =>
      tx.client.update({ where: { id: gone.id }, data: { disabledAt: server.now() } }),
    )
    expect((await open(visitor(), gone)).status).toBe(400)
  })
})
