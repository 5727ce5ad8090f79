import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Chromium, openChromium } from '../support/chromium.ts'
import { givenIdentity, givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  enterCode,
  expectAccountPage,
  expectHeading,
  expectNotice,
  fill,
  linkedAccounts,
  namesOf,
  newPerson,
  openUnlink,
  press,
  signIn,
  startLink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, lineSubject, signInAtLine } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(async () => {
  vi.useRealTimers()
  await chromium.endVisits()
})
afterAll(() => Promise.all([chromium.close(), world.close()]))

/** Everything in this process grows older together, as if the member had been away. */
function letTimePass(seconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: true, now: Date.now() + seconds * 1000 })
}

test.each(['ja', 'en'] as const)(
  'a LINE account of another member stays theirs when whoever proved it leaves it so (%s)',
  async (locale) => {
    const linePerson = givenLinePerson(world)
    const [holder, member] = [await givenMember(world), await givenMember(world)]
    const held = { memberId: holder.id, connectionId: 'line', subject: lineSubject(linePerson) }
    await givenIdentity(world, held)
    const visitor = await chromium.visit({ screen: 'phone', locale, dark: locale === 'en' })
    const { t } = visitor

    await signIn(visitor, world, member)
    await startLink(visitor, 'line')
    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await expectHeading(visitor, t('conflict.heading', namesOf(visitor, 'line')))
    await press(visitor, t('conflict.keep_submit'))

    await expectAccountPage(visitor, world)
    await expectNotice(visitor, 'conflict_kept', 'line')
    expect(await linkedAccounts(visitor)).toEqual([])
    const links = await world.db.federatedIdentity.findMany({ where: { subject: held.subject } })
    expect(links.map(({ memberId }) => memberId)).toEqual([holder.id])
  },
)

test('the last way to sign in cannot be unlinked until there is another', async () => {
  const linePerson = givenLinePerson(world)
  const { password } = newPerson()
  const visitor = await chromium.visit({ screen: 'phone', locale: 'ja' })
  const { page, t } = visitor
  await visitor.open(`${world.hitotsu.url}/account`)
  await press(visitor, t('connection.line.sign_in'))
  await signInAtLine(visitor, linePerson)
  await allowAtLine(visitor)
  await press(visitor, t('sign_up.submit_pending'))
  await enterCode(visitor, world, linePerson.email ?? '')
  await agreeToLink(visitor, 'line', 'sign_in')
  await expectAccountPage(visitor, world)

  await openUnlink(visitor, 'line')
  expect(await page.getByRole('button', { name: t('unlink.submit'), exact: true }).count()).toBe(0)
  await visitor.press(page.getByRole('link', { name: t('unlink.last_link'), exact: true }))
  await fill(visitor, 'newPassword', password)
  letTimePass(1)
  await press(visitor, t('security.set'))
  // The new password ends every session before it, so that this is a sign-in like any other.
  await fill(visitor, 'email', linePerson.email ?? '')
  await fill(visitor, 'password', password)
  await press(visitor, t('sign_in.submit'))
  expect((await page.getByRole('status').innerText()).trim()).toBe(t('flash.password_changed'))
  await visitor.press(page.getByRole('link', { name: t('nav.account'), exact: true }))
  await openUnlink(visitor, 'line')
  await press(visitor, t('unlink.submit'))

  await expectNotice(visitor, 'unlinked', 'line')
  const elsewhere = await chromium.visit()
  await signIn(elsewhere, world, { email: linePerson.email ?? '', password })
})

test('with an older sign-in the member proves who they are once more, and is then taken to LINE', async () => {
  const linePerson = givenLinePerson(world)
  const member = await givenMember(world)
  const visitor = await chromium.visit()
  const { page, t } = visitor
  await signIn(visitor, world, member)

  letTimePass(15 * 60)
  await startLink(visitor, 'line')
  await expectHeading(visitor, t('sign_in.again_title'))
  expect(await page.getByLabel(t('field.email'), { exact: true }).inputValue()).toBe(member.email)
  await fill(visitor, 'password', member.password)
  await press(visitor, t('sign_in.again_submit'))

  expect(new URL(page.url()).origin).toBe(world.line.url)
  await signInAtLine(visitor, linePerson)
  await allowAtLine(visitor)
  await agreeToLink(visitor, 'line')
  await expectNotice(visitor, 'linked', 'line')
})
