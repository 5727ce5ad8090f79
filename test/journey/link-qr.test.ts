import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { qrImage } from '../../src/linking/qr/qr-svg.ts'
import { type Ephemeral, openEphemeral } from '../../src/store/ephemeral.ts'
import { type Chromium, openChromium, type VisitOptions, type Visitor } from '../support/chromium.ts'
import { type GivenClient, givenClient, givenMember } from '../support/given.ts'
import { apiToken, callApi } from '../support/link-api.ts'
import { scannedFrom } from '../support/qr.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  enterPassword,
  expectHeading,
  expectNotice,
  fill,
  linkedAccounts,
  press,
  signIn,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, lineSubject, signInAtLine } from './at-line.ts'

let world: World
let chromium: Chromium
let store: Ephemeral
let shop: GivenClient
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
  store = await openEphemeral({ redisUrl: world.redisUrl })
  shop = await givenClient(world, {
    id: 'counter',
    redirectUris: [`${world.store.url}/thanks`],
    connections: ['line'],
    metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
  })
})
afterEach(() => chromium.endVisits())
afterAll(async () => {
  await store.close()
  await Promise.all([chromium.close(), world.close()])
})

/** What the camera of a phone reads off this screen: the picture is made of exactly that. */
async function scan({ page, t }: Visitor): Promise<string> {
  const address = await scannedFrom({ issuer: world.hitotsu.url, store }, { url: new URL(page.url()) })
  const picture = await page.getByRole('img', { name: t('qr.screen.image') }).getAttribute('src')
  expect(picture).toBe(qrImage(address))
  return address
}

/** The screen looks again by itself, until it says this. */
async function waitFor(visitor: Visitor, words: string): Promise<void> {
  await visitor.page.getByRole('heading', { name: words, exact: true, level: 1 }).waitFor()
  await visitor.look()
}

const names = { connection: 'LINE', service: 'Hitotsu' }

const visits: [string, VisitOptions, VisitOptions][] = [
  ['in Japanese', { locale: 'ja' }, { screen: 'phone', locale: 'ja' }],
  [
    'in English, in the dark, without scripts',
    { dark: true, scripts: false },
    { screen: 'phone', dark: true, scripts: false },
  ],
]

test.each(visits)(
  'a member at a desktop links the LINE account of their phone: %s',
  { timeout: 90_000 },
  async (_, desktopOptions, phoneOptions) => {
    const desktop = await chromium.visit({ screen: 'desktop', ...desktopOptions })
    const phone = await chromium.visit(phoneOptions)
    const { t } = desktop
    const [linePerson, member] = [givenLinePerson(world), await givenMember(world)]

    await signIn(desktop, world, member)
    const button = desktop.page.getByRole('button', { name: `${t('qr.link_with_phone')} LINE`, exact: true })
    await desktop.press(button)
    await expectHeading(desktop, t('qr.screen.scan_heading'))

    await phone.open(await scan(desktop))
    await expectHeading(phone, t('qr.phone.join_heading'))
    await phone.walkByKeyboard()
    await press(phone, t('qr.phone.join'))
    await signInAtLine(phone, linePerson)
    await allowAtLine(phone)
    await expectHeading(phone, t('qr.phone.confirm_heading'))
    await waitFor(desktop, t('qr.screen.prove_heading'))
    await press(phone, t('qr.phone.confirm'))
    const code = await phone.page.locator('.code-shown').innerText()

    await waitFor(desktop, t('qr.screen.type_heading'))
    await fill(desktop, 'code', code === '123456' ? '654321' : '123456')
    await press(desktop, t('qr.screen.submit'))
    await fill(desktop, 'code', code)
    await press(desktop, t('qr.screen.submit'))
    await agreeToLink(desktop, 'line')
    await expectNotice(desktop, 'linked', 'line')
    expect(await linkedAccounts(desktop)).toEqual(['LINE'])
    await waitFor(phone, t('qr.phone.linked'))
    const links = await world.db.federatedIdentity.findMany({ where: { memberId: member.id } })
    expect(links).toMatchObject([{ subject: lineSubject(linePerson), way: 'qr_code' }])
  },
)

test('a member links at a shop counter with their phone', { timeout: 90_000 }, async () => {
  const counter = await chromium.visit({ screen: 'desktop', locale: 'ja' })
  const phone = await chromium.visit({ screen: 'phone', locale: 'ja' })
  const { t } = counter
  const [linePerson, member] = [givenLinePerson(world), await givenMember(world)]
  const hitotsu = { issuer: world.hitotsu.url }
  const token = await apiToken(hitotsu, shop, 'links:begin')
  const body = { connection: 'line', return_to: shop.redirectUri, state: 'till 3' }
  const { json } = await callApi(hitotsu, '/link-counters', body, { token })

  await counter.open(String(json.url))
  await expectHeading(counter, t('qr.screen.open_heading', names))
  await press(counter, t('qr.screen.open'))
  await phone.open(await scan(counter))
  await press(phone, t('qr.phone.join'))
  await enterPassword(phone, member)
  await signInAtLine(phone, linePerson)
  await allowAtLine(phone)
  await press(phone, t('qr.phone.confirm'))
  const code = await phone.page.locator('.code-shown').innerText()

  await waitFor(counter, t('qr.screen.type_heading'))
  await fill(counter, 'code', code)
  await press(counter, t('qr.screen.submit'))
  await expectHeading(counter, t('qr.screen.agree_heading'))
  await waitFor(phone, t('confirm.heading', names))
  await agreeToLink(phone, 'line')
  await expectHeading(phone, t('qr.phone.linked'))
  await counter.page.waitForURL(`${world.store.url}/thanks?link_result=linked&state=till+3`)
  const links = await world.db.federatedIdentity.findMany({ where: { memberId: member.id } })
  expect(links).toMatchObject([{ way: 'qr_code' }])
})
