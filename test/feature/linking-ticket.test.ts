import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GivenClient, givenMember } from '../support/given.ts'
import { acceptInvitation, apiToken, callApi, givenShop } from '../support/link-api.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let shop: GivenClient
let token: string
beforeAll(async () => {
  server = await startLinkingApp()
  shop = await givenShop(server, 'cart')
  token = await apiToken(server, shop)
})
afterAll(() => server.close())

const givenTicket = async (more: object) => {
  const profile = { name: 'Cart shopper', email: 'Cart@example.com' }
  const body = { connection: 'cart', subject: 'shopper-1', profile, purpose: 'link', ...more }
  const { status, json } = await callApi(server, '/link-tickets', body, { token })
  expect({ status, life: json.expires_in }).toEqual({ status: 201, life: 600 })
  return String(json.url)
}

test('an account that its shop vouches for is linked after sign-in and agreement, and nothing of it counts as verified', async () => {
  const member = await givenMember(server)
  const browser = visitor()
  browser.stopAt('https://cart-backend.example.com/')
  const url = await givenTicket({ subject: 'shopper-2', return_to: shop.redirectUri, state: 'basket 7&x=y' })
  const { result, rows, events } = await changesOf(server, async () =>
    browser.submit(await acceptInvitation(browser, url, member), '/agree'),
  )
  expect(result.url.href.split('?')[0]).toBe(shop.redirectUri)
  expect(Object.fromEntries(result.url.searchParams)).toEqual({
    link_result: 'linked',
    state: 'basket 7&x=y',
  })
  // The vouching shop gives no tokens, so there are none to keep.
  expect(rows).toMatchObject({ FederatedIdentity: '+1', LinkConsent: '+1' })
  expect(rows).not.toHaveProperty('UpstreamToken')
  const trail = { connectionId: 'cart', way: 'link_ticket', clientId: shop.id }
  expect(events.at(-1)).toMatchObject({ type: 'identity.linked', memberId: member.id, data: trail })
  expect(await server.db.federatedIdentity.findFirst({ where: { memberId: member.id } })).toMatchObject({
    issuer: 'https://cart.example.com',
    subject: 'shopper-2',
    profile: { name: 'Cart shopper', email: 'Cart@example.com' },
    way: 'link_ticket',
  })
  expect(await server.db.contactPoint.count({ where: { memberId: member.id } })).toBe(1)
  const counted = await server.db.event.findMany({
    where: { type: { in: ['link.started', 'link.proved', 'link.consented'] } },
    orderBy: { position: 'asc' },
  })
  expect(counted.map(({ type }) => type)).toEqual(['link.started', 'link.proved', 'link.consented'])
  for (const { data } of counted) expect(data).toMatchObject(trail)
})

test('who cancels signing in is back at the shop, which is told, and nothing was linked', async () => {
  const browser = visitor()
  browser.stopAt('https://cart-backend.example.com/')
  const url = await givenTicket({ return_to: shop.redirectUri, state: 'basket 8' })
  const signIn = await browser.submit(await browser.open(url), '/accept')
  const { result, ...changes } = await changesOf(server, () => browser.submit(signIn, '/cancel'))
  expect(Object.fromEntries(result.url.searchParams)).toEqual({ link_result: 'declined', state: 'basket 8' })
  const data = { connectionId: 'cart', way: 'link_ticket', clientId: shop.id }
  expect(changes).toEqual({ rows: {}, events: [{ type: 'link.declined', memberId: null, data }] })
  // The address is used up with it.
  const late = await browser.open(url)
  expect(late.html).not.toContain('/accept')
})

test.each([['declines', '/decline', 'declined', 'link.declined']])(
  'who %s is back at the shop, which is told, and nothing was linked',
  async (_, action, outcome, type) => {
    const browser = visitor()
    browser.stopAt('https://cart-backend.example.com/')
    const page = await acceptInvitation(
      browser,
      await givenTicket({ return_to: shop.redirectUri }),
      await givenMember(server),
    )
    const { result, rows, events } = await changesOf(server, () => browser.submit(page, action))
    expect(result.url.searchParams.get('link_result')).toBe(outcome)
    expect(rows).toEqual({})
    expect(events).toMatchObject([{ type }])
  },
)

test('who turns the ticket down before signing in is back at the shop as well', async () => {
  const browser = visitor()
  browser.stopAt('https://cart-backend.example.com/')
  const page = await browser.open(await givenTicket({ return_to: shop.redirectUri, state: 's' }))
  const { url } = await browser.submit(page, '/decline')
  expect(url.href).toBe(`${shop.redirectUri}?link_result=declined&state=s`)
})

test('who has linked the account before is back at the shop with that word', async () => {
  const member = await givenMember(server)
  const first = visitor()
  await first.submit(
    await acceptInvitation(first, await givenTicket({ subject: 'shopper-3' }), member),
    '/agree',
  )
  const browser = visitor()
  browser.stopAt('https://cart-backend.example.com/')
  const { url } = await acceptInvitation(
    browser,
    await givenTicket({ subject: 'shopper-3', return_to: shop.redirectUri }),
    member,
  )
  expect(url.searchParams.get('link_result')).toBe('already_linked')
})

test('a ticket without an address to go back to ends on the account page', async () => {
  const browser = visitor()
  const page = await acceptInvitation(
    browser,
    await givenTicket({ subject: 'shopper-4' }),
    await givenMember(server),
  )
  expect((await browser.submit(page, '/agree')).url.pathname).toBe('/account')
})

test('a connection that is vouched for offers nothing to press and signs nobody in', async () => {
  const member = await givenMember(server)
  const browser = visitor()
  const signIn = await browser.open(`${server.issuer}/account`)
  expect(signIn.html).not.toContain('/connections/cart')
  const account = await signInTo(server, member, browser).then((one) => one.open(`${server.issuer}/account`))
  expect(account.html).not.toContain('/connections/cart/link')
  expect(await server.db.connection.findUnique({ where: { id: 'cart' } })).toMatchObject({
    allowSignIn: false,
  })
})
