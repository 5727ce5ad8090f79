import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { requireRenewals } from '../../src/linking/consent/renewal.ts'
import { publishTerms } from '../../src/linking/consent/terms.ts'
import { inTransaction } from '../../src/store/db.ts'
import { type Chromium, openChromium, type VisitOptions } from '../support/chromium.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  expectHeading,
  namesOf,
  newPerson,
  press,
  serviceName,
  signUp,
  startLink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, signInAtLine } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const paragraph = {
  ja: '連携すると、LINEのアカウント名と、LINEが発行する識別子を会員情報とあわせて保管します。連携はいつでも解除できます。',
  en: 'When you link LINE, we keep your LINE name and the identifier LINE gives us together with your member record. You can unlink at any time.',
}

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese, without scripts', { screen: 'phone', locale: 'ja', scripts: false }],
  ['on a desktop, in English, in the dark', { screen: 'desktop', locale: 'en', dark: true }],
]

test.each(visits)(
  'a member is asked anew when the terms of a link change, and reads both agreements: %s',
  { timeout: 90_000 },
  async (name, options) => {
    const visitor = await chromium.visit(options)
    const { t, page } = visitor
    const person = newPerson()
    const linePerson = givenLinePerson(world)
    await signUp(visitor, world, person)
    await startLink(visitor, 'line')
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await agreeToLink(visitor, 'line')

    const version = name.includes('phone') ? '2027-01' : '2027-02'
    const text = {
      ja: Array(6).fill(paragraph.ja).join('\n\n'),
      en: Array(6).fill(paragraph.en).join('\n\n'),
    }
    const terms = {
      connectionId: 'line',
      version,
      text,
      consentDays: 365,
      asksAnew: true,
      publishedAt: world.now(),
    }
    await inTransaction(world.db, (tx) => publishTerms(tx, terms, world.now()))
    await requireRenewals(world.db, world.now())
    await world.mailTo(person.email, t('mail.reconsent_required.subject', { serviceName }))

    await visitor.open(`${world.hitotsu.url}/account`)
    await visitor.press(
      page.getByRole('link', { name: `${t('account.reconsent_button')} LINE`, exact: true }),
    )
    await expectHeading(visitor, t('renew_consent.heading', namesOf(visitor, 'line')))
    await visitor.walkByKeyboard()
    await press(visitor, t('renew_consent.agree'))
    expect((await page.getByRole('status').innerText()).trim()).toBe(t('flash.consent_renewed'))
    const states = await page.locator('.badge').allInnerTexts()
    expect(states).toEqual([t('consents.state.given'), t('consents.state.ended')])
    await visitor.walkByKeyboard()
    await visitor.press(page.getByRole('link', { name: t('consents.read') }).first())
    await expectHeading(visitor, t('consents.one_title', namesOf(visitor, 'line')))
    expect(await page.getByText(paragraph[visitor.locale]).count()).toBe(6)
  },
)
