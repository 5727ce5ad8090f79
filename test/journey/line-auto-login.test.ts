import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium } from '../support/chromium.ts'
import { givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  connectionName,
  expectHeading,
  expectNotice,
  linkedAccounts,
  signIn,
  startLink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, signInAtLine } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(async () => {
  world.line.control.signInToApp()
  world.line.control.configure({ autoLoginFailure: 'off' })
  await chromium.endVisits()
})
afterAll(() => Promise.all([chromium.close(), world.close()]))

/** What LINE's app makes of an answer when it opens the wrong browser: nothing of it belongs to this one. */
const strayAnswer = () => `${world.hitotsu.url}/connections/line/callback?code=stray&state=of-another-browser`

async function givenVisitorWithLineApp(autoLoginFailure: 'off' | 'once' | 'always') {
  const linePerson = givenLinePerson(world)
  world.line.control.signInToApp(linePerson.id)
  world.line.control.configure({ autoLoginFailure })
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja' })
  await signIn(visitor, world, await givenMember(world))
  return { visitor, linePerson }
}

test('auto login that works asks for consent alone', async () => {
  const { visitor } = await givenVisitorWithLineApp('off')
  await startLink(visitor, 'line')
  await allowAtLine(visitor)
  await agreeToLink(visitor, 'line')
  expect(await linkedAccounts(visitor)).toEqual([connectionName(visitor, 'line')])
})

test.each(['once', 'always'] as const)(
  'after an auto login that fails %s, one new try without it leads to the link',
  async (failure) => {
    const { visitor, linePerson } = await givenVisitorWithLineApp(failure)
    await startLink(visitor, 'line')
    expect(new URL(visitor.page.url()).searchParams.get('disable_auto_login')).toBe('true')
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await agreeToLink(visitor, 'line')
    await expectNotice(visitor, 'linked', 'line')
  },
)

test('a second failure shows a page that says what to do, and from there the link succeeds', async () => {
  const { visitor, linePerson } = await givenVisitorWithLineApp('always')
  const { page, t } = visitor
  await startLink(visitor, 'line')
  await visitor.open(strayAnswer())
  await expectHeading(visitor, t('restart.heading'))
  await visitor.press(page.getByRole('link', { name: t('restart.retry'), exact: true }))
  await signInAtLine(visitor, linePerson)
  await allowAtLine(visitor)
  await agreeToLink(visitor, 'line')
  await expectNotice(visitor, 'linked', 'line')
})

test('an answer in a browser that asked nothing changes nothing, and the browser that asked goes on', async () => {
  const linePerson = givenLinePerson(world)
  const visitor = await chromium.visit()
  await signIn(visitor, world, await givenMember(world))
  await startLink(visitor, 'line')
  const state = new URL(visitor.page.url()).searchParams.get('state')

  const elsewhere = await chromium.visit({ dark: true })
  await elsewhere.open(`${world.hitotsu.url}/connections/line/callback?code=stray&state=${state}`)
  await expectHeading(elsewhere, elsewhere.t('restart.heading'))
  await elsewhere.press(elsewhere.page.getByRole('link', { name: elsewhere.t('restart.start'), exact: true }))
  await expectHeading(elsewhere, elsewhere.t('sign_in.title'))

  await signInAtLine(visitor, linePerson)
  await allowAtLine(visitor)
  await agreeToLink(visitor, 'line')
  await expectNotice(visitor, 'linked', 'line')
})
