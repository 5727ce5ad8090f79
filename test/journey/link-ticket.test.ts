import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium, type VisitOptions } from '../support/chromium.ts'
import { type GivenClient, givenMember } from '../support/given.ts'
import { apiToken, callApi, givenShop } from '../support/link-api.ts'
import { startWorld, type World } from '../support/world.ts'
import { enterCode, enterPassword, expectHeading, fill, newPerson, press, serviceName } from './at-hitotsu.ts'

let world: World
let chromium: Chromium
let shop: GivenClient
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
  shop = await givenShop(world, 'cart', { redirectUris: [`${world.store.url}/cart`] })
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const names = { connection: 'Upstream cart', service: serviceName, client: 'Shop cart-backend' }
const namesIn = { ja: { ...names, connection: '外部 cart', client: '店 cart-backend' }, en: names }

/** What the shop's server does when a shopper presses "link" there. */
async function askForTicket(subject: string): Promise<string> {
  const hitotsu = { issuer: world.hitotsu.url }
  const token = await apiToken(hitotsu, shop)
  const body = { connection: 'cart', subject, profile: { name: 'Cart shopper' }, purpose: 'link' }
  const { json } = await callApi(
    hitotsu,
    '/link-tickets',
    { ...body, return_to: shop.redirectUri, state: 's1' },
    { token },
  )
  return String(json.url)
}

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  ['on a desktop, in English, in the dark', { screen: 'desktop', locale: 'en', dark: true }],
]

test.each(visits)(
  'a shopper of a cart without OpenID Connect links that account and is back at the cart: %s',
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const { t, locale } = visitor
    const member = await givenMember(world)

    await visitor.open(await askForTicket(`signed-up-${locale}`))
    await expectHeading(visitor, t('invitation.heading', namesIn[locale]))
    await visitor.walkByKeyboard()
    await press(visitor, t('invitation.accept'))
    await enterPassword(visitor, member)
    await expectHeading(visitor, t('confirm.heading', namesIn[locale]))
    await press(visitor, t('confirm.agree_link'))

    expect(visitor.page.url()).toBe(`${world.store.url}/cart?link_result=linked&state=s1`)
    const links = await world.db.federatedIdentity.findMany({ where: { memberId: member.id } })
    expect(links).toMatchObject([
      { connectionId: 'cart', subject: `signed-up-${locale}`, way: 'link_ticket' },
    ])
  },
)

test('a shopper who is no member yet signs up on the way, without scripts', async () => {
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja', scripts: false })
  const { t, page } = visitor
  const person = newPerson()
  await visitor.open(await askForTicket('new-here'))
  await press(visitor, t('invitation.accept'))
  await visitor.press(page.getByRole('link', { name: t('sign_in.sign_up'), exact: true }))
  await fill(visitor, 'name', person.name)
  await fill(visitor, 'email', person.email)
  await fill(visitor, 'password', person.password)
  await press(visitor, t('sign_up.submit'))
  await enterCode(visitor, world, person.email)
  await press(visitor, t('confirm.agree_link'))
  expect(page.url()).toBe(`${world.store.url}/cart?link_result=linked&state=s1`)
})

test('a link that was used is a page that says so, in another browser', async () => {
  const [first, second] = [
    await chromium.visit({ screen: 'phone' }),
    await chromium.visit({ screen: 'phone', locale: 'ja' }),
  ]
  const url = await askForTicket('twice')
  await first.open(url)
  await press(first, first.t('invitation.accept'))
  await second.open(url)
  await expectHeading(second, second.t('problem.invitation_over.title'))
})
