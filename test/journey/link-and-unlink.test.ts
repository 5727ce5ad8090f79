import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium, type VisitOptions } from '../support/chromium.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  connectionName,
  expectHeading,
  expectNotice,
  linkedAccounts,
  newPerson,
  press,
  serviceName,
  signUp,
  startLink,
  unlink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, signInAtLine } from './at-line.ts'
import {
  accountsOnMyPage,
  agreeAtStore,
  enterWithMemberId,
  givenStoreAccount,
  refreshMyPage,
  signInWithStoreAccount,
} from './at-store.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  ['on a desktop, in English, in the dark', { screen: 'desktop', locale: 'en', dark: true }],
  ['on a phone, in English, without scripts', { screen: 'phone', locale: 'en', scripts: false }],
  ['on a desktop, in Japanese, without scripts', { screen: 'desktop', locale: 'ja', scripts: false }],
]

test.each(visits)(
  'a person signs up, links two accounts, and the store knows, until one is unlinked: %s',
  {
    timeout: 90_000,
  },
  async (_, options) => {
    const visitor = await chromium.visit(options)
    const { t } = visitor
    const person = newPerson()
    const linePerson = givenLinePerson(world)
    const storeAccount = await givenStoreAccount(world)

    await signUp(visitor, world, person)
    expect(await linkedAccounts(visitor)).toEqual([])

    await startLink(visitor, 'line')
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await visitor.walkByKeyboard()
    await agreeToLink(visitor, 'line')
    await expectNotice(visitor, 'linked', 'line')

    await startLink(visitor, 'ec')
    await signInWithStoreAccount(visitor, storeAccount)
    await agreeAtStore(visitor)
    await agreeToLink(visitor, 'ec')
    await expectNotice(visitor, 'linked', 'ec')
    await visitor.walkByKeyboard()

    await enterWithMemberId(visitor, world)
    await press(visitor, t('consent.allow'))
    const both = ['line id_token userinfo', 'ec id_token userinfo']
    expect((await accountsOnMyPage(visitor)).sort()).toEqual(both.sort())
    await refreshMyPage(visitor)
    expect((await accountsOnMyPage(visitor)).sort()).toEqual(both.sort())

    await visitor.open(`${world.hitotsu.url}/account`)
    await unlink(visitor, 'line')
    await expectNotice(visitor, 'unlinked', 'line')
    expect(await linkedAccounts(visitor)).toEqual([connectionName(visitor, 'ec')])

    await visitor.open(`${world.store.url}/account`)
    await refreshMyPage(visitor)
    expect(await accountsOnMyPage(visitor)).toEqual(['ec id_token userinfo'])

    const subject = (name: string) => t(`mail.${name}.subject`, { serviceName })
    await world.mailTo(person.email, subject('identity_unlinked'))
    expect(world.subjectsTo(person.email)).toEqual(
      ['verify_email', 'member_registered', 'identity_linked', 'identity_linked', 'identity_unlinked'].map(
        subject,
      ),
    )

    await visitor.open(`${world.hitotsu.url}/account`)
    await press(visitor, t('nav.sign_out'))
    await press(visitor, t('sign_out.yes'))
    await visitor.open(`${world.hitotsu.url}/account`)
    await expectHeading(visitor, t('sign_in.title'))
    await visitor.walkByKeyboard()
  },
)
