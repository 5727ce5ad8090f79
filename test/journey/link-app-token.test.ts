import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium, type VisitOptions } from '../support/chromium.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { type LiffPage, startLiffPage } from '../support/liff-page.ts'
import { startWorld, type World } from '../support/world.ts'
import { agreeToLink, enterPassword, expectHeading, press } from './at-hitotsu.ts'
import { givenLinePerson, lineSubject } from './at-line.ts'

let world: World
let chromium: Chromium
let liff: LiffPage
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
  liff = await startLiffPage(world.hitotsu.url, 'liff')
  const redirectUris = [liff.returnTo]
  await givenClient(world, { id: 'liff', profile: 'spa', redirectUris, connections: ['line'] })
})
afterEach(() => chromium.endVisits())
afterAll(async () => {
  await Promise.all([chromium.close(), world.close(), liff.close()])
})

const visits: [string, VisitOptions][] = [
  ['in Japanese', { screen: 'phone', locale: 'ja' }],
  ['in English, in the dark', { screen: 'phone', locale: 'en', dark: true }],
]

test.each(visits)(
  'a page in LINE’s own browser links the LINE account it is open in, and is back there: %s',
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const { page, t, locale } = visitor
    const [linePerson, member] = [givenLinePerson(world), await givenMember(world)]
    const { idToken = '' } = await world.line.control.mintLiffTokens(linePerson.id, '1234567890-liffAppA')
    liff.idToken = idToken

    await page.goto(liff.url)
    await Promise.all([page.waitForURL(/\/invitation\//), page.getByRole('button', { name: 'Link' }).click()])
    await visitor.look()
    const client = locale === 'ja' ? '店 liff' : 'Shop liff'
    await expectHeading(visitor, t('invitation.heading', { connection: 'LINE', client }))
    await press(visitor, t('invitation.accept'))
    await enterPassword(visitor, member)
    await agreeToLink(visitor, 'line')

    expect(page.url()).toBe(`${liff.returnTo}?link_result=linked&state=card`)
    const links = await world.db.federatedIdentity.findMany({ where: { memberId: member.id } })
    expect(links).toMatchObject([{ subject: lineSubject(linePerson), way: 'app_token' }])
  },
)
