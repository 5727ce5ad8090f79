import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { texts } from '../../src/demo/store/language.ts'
import { type Chromium, openChromium, type VisitOptions, type Visitor } from '../support/chromium.ts'
import { type GivenMember, givenCampaign, givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  enterPassword,
  expectHeading,
  expectNotice,
  linkedAccounts,
  namesOf,
  press,
  startLink,
  unlink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, signInAtLine } from './at-line.ts'
import { accountsOnMyPage, enterWithMemberId, refreshMyPage } from './at-store.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
  await givenCampaign(world, {
    connectionId: 'line',
    name: { ja: '春のLINE連携キャンペーン', en: 'LINE in spring' },
    endsAt: new Date(world.now().getTime() + 30 * 86_400_000),
  })
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const reward = { ja: '100ポイント', en: '100 points' }
const bannerButton = { ja: '連携する', en: 'Link' }
const bannerClose = { ja: '閉じる', en: 'Close' }
const banner = ({ page, locale }: Visitor) =>
  page.getByRole('link', { name: bannerButton[locale], exact: true })

/** To the store's My page, as somebody who is a member already. */
async function enterStore(visitor: Visitor, member: GivenMember): Promise<void> {
  await enterWithMemberId(visitor, world)
  await enterPassword(visitor, member)
  await press(visitor, visitor.t('consent.allow'))
  await expectHeading(visitor, `${texts[visitor.locale].hello}${member.name}`)
}

test.each<[string, VisitOptions]>([
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  ['on a desktop, in English, in the dark', { screen: 'desktop', locale: 'en', dark: true }],
])(
  'a member presses the banner of the store, links, earns the reward once, and the banner is gone: %s',
  { timeout: 90_000 },
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const { locale, page, t } = visitor
    const member = await givenMember(world, { locale })
    const linePerson = givenLinePerson(world)
    await enterStore(visitor, member)
    await banner(visitor).waitFor()
    await visitor.look()
    expect(await page.getByText(reward[locale]).count()).toBe(1)

    await visitor.press(banner(visitor))
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    expect(await page.getByText(t('campaign.confirm', { reward: reward[locale] })).count()).toBe(1)
    await agreeToLink(visitor, 'line')
    await expectHeading(visitor, t('flash.linked', { name: 'LINE' }))
    expect(await page.getByText(t('campaign.earned', { reward: reward[locale] })).count()).toBe(1)
    await visitor.walkByKeyboard()
    const back = t('link_offer.back', { client: texts[locale].storeName })
    await visitor.press(page.getByRole('link', { name: back, exact: true }))
    expect(new URL(page.url()).href).toBe(`${world.store.url}/account`)
    expect(await banner(visitor).count()).toBe(0)
    await refreshMyPage(visitor)
    expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])

    await visitor.open(`${world.hitotsu.url}/account`)
    expect(await page.getByText(reward[locale]).count()).toBe(1)
    await unlink(visitor, 'line')
    await startLink(visitor, 'line')
    await signInAtLine(visitor, linePerson)
    // The end of the link may not have reached LINE yet; then it does not ask again.
    if ((await page.locator('button[name=decision]').count()) > 0) await allowAtLine(visitor)
    expect(await page.getByText(reward[locale]).count()).toBe(0)
    await agreeToLink(visitor, 'line')
    await expectNotice(visitor, 'linked', 'line')
    expect(await linkedAccounts(visitor)).toHaveLength(1)
    expect(await world.db.reward.count({ where: { memberId: member.id } })).toBe(1)
  },
)

test('who closes the banner is not shown it again, and a showing is counted once', async () => {
  const visitor = await chromium.visit({ screen: 'phone', locale: 'en', dark: true })
  const shown = { type: 'link.prompted' }
  const before = await world.db.event.count({ where: shown })
  await enterStore(visitor, await givenMember(world))
  await banner(visitor).waitFor()
  await visitor.look()
  await refreshMyPage(visitor)
  await banner(visitor).waitFor()
  await expect.poll(() => world.db.event.count({ where: shown })).toBe(before + 1)
  const close = visitor.page.getByRole('button', { name: bannerClose.en, exact: true })
  await banner(visitor).focus()
  await visitor.page.keyboard.press('Tab')
  expect(await close.evaluate((button) => button.matches(':focus-visible'))).toBe(true)
  await visitor.page.keyboard.press('Enter')
  expect(await banner(visitor).count()).toBe(0)
  await refreshMyPage(visitor)
  await visitor.page.waitForLoadState('networkidle')
  expect(await banner(visitor).count()).toBe(0)
})

test('a page that lets in the script alone, by its digest, shows the banner in its own words', async () => {
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja' })
  const { url: issuer } = world.hitotsu
  const script = await fetch(`${issuer}/link-prompt.js`)
  const text = await script.text()
  const digest = `sha384-${createHash('sha384').update(text).digest('base64')}`
  const page = `${world.store.url}/pinned`
  await visitor.page.route(page, (route) =>
    route.fulfill({
      contentType: 'text/html; charset=utf-8',
      headers: {
        'content-security-policy': `default-src 'none'; script-src '${digest}'; connect-src ${issuer}; require-trusted-types-for 'script'`,
      },
      body: `<!doctype html><html lang="ja"><meta name="viewport" content="width=device-width"><title>店</title>
        <main><h1>店</h1><script src="${issuer}/link-prompt.js" integrity="${digest}" crossorigin
          data-client="ec-store" data-connection="line" data-name="LINE公式" data-theme="light"></script></main></html>`,
    }),
  )
  // The page comes from no address at all, and Chromium lets such a one not load from this machine.
  await visitor.page.route(`${issuer}/link-prompt.js`, (route) =>
    route.fulfill({ headers: Object.fromEntries(script.headers), body: text }),
  )
  await visitor.page.route(`${issuer}/link-prompt/shown?*`, (route) => route.fulfill({ status: 204 }))
  await visitor.page.goto(page)
  await visitor.page.getByText('LINE公式のアカウントを連携できます').waitFor()
  const href = await banner(visitor).getAttribute('href')
  expect(href).toBe(`${issuer}/prompt?client=ec-store&connection=line&shown=1`)
})

test('without scripts the store has a link to the same', { timeout: 60_000 }, async () => {
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja', scripts: false })
  await enterStore(visitor, await givenMember(world, { locale: 'ja' }))
  await visitor.press(visitor.page.getByRole('link', { name: texts.ja.linkLine, exact: true }))
  await expectHeading(visitor, visitor.t('link_offer.ask.heading', namesOf(visitor, 'line')))
  await visitor.walkByKeyboard()
  await visitor.press(visitor.page.getByRole('link', { name: visitor.t('link_offer.later'), exact: true }))
  expect(visitor.page.url()).toBe(`${world.store.url}/account`)
})

test.each<[string, VisitOptions]>([
  ['on a desktop, in Japanese', { screen: 'desktop', locale: 'ja' }],
  [
    'on a phone, in English, in the dark, without scripts',
    { locale: 'en', screen: 'phone', dark: true, scripts: false },
  ],
])(
  'who has signed in to the store is asked to link, and arrives there: %s',
  { timeout: 90_000 },
  async (_, options) => {
    await world.db.connection.update({ where: { id: 'line' }, data: { promptAfterSignIn: true } })
    const visitor = await chromium.visit(options)
    const member = await givenMember(world, { locale: visitor.locale })
    const linePerson = givenLinePerson(world)
    await enterWithMemberId(visitor, world)
    await enterPassword(visitor, member)
    await expectHeading(visitor, visitor.t('link_offer.ask.heading', namesOf(visitor, 'line')))
    await visitor.walkByKeyboard()
    await press(visitor, visitor.t('connection.line.link'))
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await agreeToLink(visitor, 'line', 'sign_in')
    await press(visitor, visitor.t('consent.allow'))
    expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])
    expect(await world.db.reward.count({ where: { memberId: member.id } })).toBe(1)
    await world.db.connection.update({ where: { id: 'line' }, data: { promptAfterSignIn: false } })
  },
)
