import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium, type VisitOptions, type Visitor } from '../support/chromium.ts'
import { givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import { enterPassword, expectHeading, expectNotice, linkedAccounts, namesOf, press } from './at-hitotsu.ts'
import { confirmAtLine, givenLinePerson, openPhone, waitInTalk } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const words = {
  ja: {
    addFriend: '友だち追加',
    button: '会員IDと連携する',
    linked: '連携が完了しました',
    account: 'マイページ',
  },
  en: {
    addFriend: 'Add friend',
    button: 'Link my member ID',
    linked: 'is now linked to',
    account: 'マイページ',
  },
}

/** Somebody who has just become a friend of the official account, with the button in the talk. */
async function becomeFriend(visitor: Visitor) {
  const person = givenLinePerson(world)
  person.language = visitor.locale
  await openPhone(visitor, world, person)
  await visitor.press(visitor.page.getByRole('button', { name: words[visitor.locale].addFriend }))
  await waitInTalk(visitor, words[visitor.locale].button)
  await visitor.look()
  return person
}

/** From the button in the talk to LINE's page; the address where its word is waited for. */
async function agree(visitor: Visitor): Promise<string> {
  const { page, t, locale } = visitor
  const member = await givenMember(world, { locale })
  await visitor.press(page.getByRole('link', { name: words[locale].button }))
  await enterPassword(visitor, member)
  await expectHeading(visitor, t('confirm.heading', namesOf(visitor, 'line')))
  await visitor.walkByKeyboard()
  const waitingPage = page.url()
  expect(new URL(waitingPage).pathname).toMatch(/^\/link\/[\w-]+$/)
  await press(visitor, t('confirm.agree_link', namesOf(visitor, 'line')))
  expect(page.url()).toContain(`${world.line.url}/dialog/bot/accountLink`)
  return waitingPage
}

/** Shows the page that waits, without its looking again by itself, so that it can be looked at. */
async function lookAtWaiting(visitor: Visitor, waitingPage: string): Promise<void> {
  const tab = await visitor.newTab()
  await tab.page.route(waitingPage, async (route) => {
    const response = await route.fetch({ maxRedirects: 0 })
    const { refresh: _, ...headers } = response.headers()
    await route.fulfill({ response, headers })
  })
  await tab.open(waitingPage)
  await expectHeading(tab, tab.t('waiting.heading', namesOf(tab, 'line')))
  await tab.walkByKeyboard()
  await tab.page.close()
}

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  [
    'on a desktop, in English, in the dark, without scripts',
    { screen: 'desktop', locale: 'en', dark: true, scripts: false },
  ],
]

test.each(visits)(
  'a new friend links from the talk, and the page that waits moves on by itself: %s',
  { timeout: 90_000 },
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const person = await becomeFriend(visitor)
    const waitingPage = await agree(visitor)
    await lookAtWaiting(visitor, waitingPage)

    const waiting = await visitor.newTab()
    await waiting.page.goto(waitingPage)
    await confirmAtLine(visitor, person)
    await waiting.page.waitForURL(/\/account\?notice=linked&connection=line$/)
    await expectNotice(waiting, 'linked', 'line')
    expect(await linkedAccounts(waiting)).toEqual(['LINE'])

    await openPhone(visitor, world, person)
    await waitInTalk(visitor, words[visitor.locale].linked)
    // The menu of the linked leads to the account page.
    await expect
      .poll(async () => {
        await visitor.page.reload()
        return visitor.page.getByRole('link', { name: words[visitor.locale].account, exact: true }).count()
      })
      .toBe(1)
    await visitor.look()
  },
)

test('who confirms in LINE for somebody else links nothing, and is told so', {
  timeout: 90_000,
}, async () => {
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja' })
  const person = await becomeFriend(visitor)
  const waitingPage = await agree(visitor)
  const other = givenLinePerson(world)
  await visitor.open(visitor.page.url())
  await confirmAtLine(visitor, other)

  const waiting = await visitor.newTab()
  await waiting.page.goto(waitingPage)
  await waiting.page.waitForURL(/notice=line_account_differs&connection=line$/)
  await waiting.look()
  await expectNotice(waiting, 'line_account_differs', 'line')
  expect(await linkedAccounts(waiting)).toEqual([])
  expect(
    await world.db.federatedIdentity.count({ where: { profile: { path: ['name'], equals: person.name } } }),
  ).toBe(0)
})
