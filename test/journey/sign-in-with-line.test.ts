import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { demoMember } from '../../src/demo/seed.ts'
import { type Chromium, openChromium, type Visitor } from '../support/chromium.ts'
import { givenIdentity, givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  connectionName,
  enterCode,
  enterPassword,
  expectHeading,
  namesOf,
  press,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, lineSubject, signInAtLine } from './at-line.ts'
import { accountsOnMyPage, enterWithMemberId } from './at-store.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

type LinePerson = ReturnType<typeof givenLinePerson>

async function enterStoreWithLine(visitor: Visitor, person: LinePerson): Promise<void> {
  await enterWithMemberId(visitor, world)
  await press(visitor, visitor.t('connection.line.sign_in'))
  await signInAtLine(visitor, person)
  await allowAtLine(visitor)
}

/** The issuer asks what the store may know; then My page is there. */
async function allowStore(visitor: Visitor): Promise<void> {
  await expectHeading(visitor, visitor.t('consent.first.heading', { name: connectionName(visitor, 'ec') }))
  await press(visitor, visitor.t('consent.allow'))
  expect(visitor.page.url()).toBe(`${world.store.url}/account`)
}

const linkOf = (person: LinePerson) =>
  world.db.federatedIdentity.findFirst({ where: { subject: lineSubject(person) } })

test('a LINE account that is linked signs its member in without a question', async () => {
  const linePerson = givenLinePerson(world)
  const member = await givenMember(world)
  await givenIdentity(world, { memberId: member.id, connectionId: 'line', subject: lineSubject(linePerson) })
  const visitor = await chromium.visit()

  await enterStoreWithLine(visitor, linePerson)
  await allowStore(visitor)

  expect(await visitor.page.getByText(member.id).count()).toBeGreaterThan(0)
  expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])
})

test('a LINE account that nobody has linked registers a member, who agrees to the link', async () => {
  const linePerson = givenLinePerson(world)
  const visitor = await chromium.visit({ locale: 'ja', screen: 'phone' })
  const { page, t } = visitor

  await enterStoreWithLine(visitor, linePerson)
  await expectHeading(visitor, t('sign_up.title'))
  expect(await page.getByLabel(t('field.name'), { exact: true }).inputValue()).toBe(linePerson.name)
  await press(visitor, t('sign_up.submit_pending'))
  await enterCode(visitor, world, linePerson.email ?? '')
  expect(await linkOf(linePerson)).toBeNull()
  await agreeToLink(visitor, 'line', 'sign_in')
  await allowStore(visitor)

  expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])
})

test('an equal e-mail address links nothing: the member signs in to that account first, then agrees', async () => {
  const linePerson = givenLinePerson(world, { email: demoMember.email })
  const visitor = await chromium.visit()
  const { page, t } = visitor

  await enterStoreWithLine(visitor, linePerson)
  await expectHeading(visitor, t('sign_in.title'))
  expect(await page.getByText(t('sign_in.pending', namesOf(visitor, 'line'))).isVisible()).toBe(true)
  expect(await linkOf(linePerson)).toBeNull()
  await enterPassword(visitor, demoMember)
  expect(await linkOf(linePerson)).toBeNull()
  await agreeToLink(visitor, 'line', 'sign_in')
  await allowStore(visitor)

  expect(await accountsOnMyPage(visitor)).toEqual(['line id_token userinfo'])
  expect((await linkOf(linePerson))?.memberId).toBeTruthy()
})

test('who declines the link is signed in all the same, and nothing is linked', async () => {
  const member = await givenMember(world)
  const linePerson = givenLinePerson(world, { email: member.email })
  const visitor = await chromium.visit()

  await enterStoreWithLine(visitor, linePerson)
  await enterPassword(visitor, member)
  await press(visitor, visitor.t('confirm.decline'))
  await allowStore(visitor)

  expect(await visitor.page.getByText(member.id).count()).toBeGreaterThan(0)
  expect(await accountsOnMyPage(visitor)).toEqual([])
  expect(await linkOf(linePerson)).toBeNull()
})
