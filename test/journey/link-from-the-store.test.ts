import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { texts } from '../../src/demo/store/language.ts'
import { type Chromium, openChromium, type VisitOptions, type Visitor } from '../support/chromium.ts'
import { startWorld, type World } from '../support/world.ts'
import { agreeToLink, newPerson, press, signUp } from './at-hitotsu.ts'
import { allowAtLine, continueAtLine, givenLinePerson, signInAtLine } from './at-line.ts'
import { accountsOnMyPage, enterWithMemberId, refreshMyPage } from './at-store.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  [
    'on a desktop, in English, in the dark, without scripts',
    { screen: 'desktop', locale: 'en', dark: true, scripts: false },
  ],
]

/** What My page says of the link it asked for. */
const told = async ({ page }: Visitor) => (await page.getByRole('status').innerText()).trim()

test.each(visits)(
  'the store sends its customer to link LINE, once in vain, and learns how it ended: %s',
  { timeout: 90_000 },
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const { t, page } = visitor
    const text = texts[visitor.locale]
    const linePerson = givenLinePerson(world)
    await signUp(visitor, world, newPerson())
    await enterWithMemberId(visitor, world)
    await press(visitor, t('consent.allow'))
    expect(await accountsOnMyPage(visitor)).toEqual([])
    expect(await page.getByRole('status').count()).toBe(0)

    await press(visitor, text.linkFromHere)
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await press(visitor, t('confirm.decline'))
    await press(visitor, t('consent.allow'))
    expect(await told(visitor)).toBe(text.linkResults.declined)
    expect(await accountsOnMyPage(visitor)).toEqual([])

    await press(visitor, text.linkFromHere)
    await continueAtLine(visitor)
    await visitor.walkByKeyboard()
    await agreeToLink(visitor, 'line')
    await press(visitor, t('consent.allow'))
    expect(await told(visitor)).toBe(text.linkResults.linked)
    expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])

    // The answer is to that request: a refresh brings none.
    await refreshMyPage(visitor)
    expect(await page.getByRole('status').count()).toBe(0)
    expect(await page.getByRole('button', { name: text.linkFromHere, exact: true }).count()).toBe(0)
  },
)
