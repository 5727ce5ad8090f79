import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Chromium, openChromium } from '../support/chromium.ts'
import { givenClient, givenIdentity, givenMember } from '../support/given.ts'
import { givenGrant, merge } from '../support/merging.ts'
import { startWorld, type World } from '../support/world.ts'
import { expectAccountPage, expectHeading, press, serviceName, signIn } from './at-hitotsu.ts'
import { givenLinePerson, lineSubject } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

test.each([
  ['ja', 'phone', false],
  ['en', 'desktop', true],
] as const)('a member takes back a merge, and is two again (%s, %s)', async (locale, screen, dark) => {
  const [survivor, absorbed] = [await givenMember(world, { locale }), await givenMember(world, { locale })]
  const held = { memberId: absorbed.id, connectionId: 'line', subject: lineSubject(givenLinePerson(world)) }
  await givenIdentity(world, { ...held, name: '鈴木 花子' })
  const shop = await givenClient(world)
  await givenGrant(world, { memberId: absorbed.id, clientId: shop.id })
  await merge(world, survivor, absorbed)

  const visitor = await chromium.visit({ locale, screen, dark })
  const { page, t } = visitor
  await signIn(visitor, world, survivor)
  await expectAccountPage(visitor, world)
  await visitor.press(page.getByRole('link', { name: t('merges.title') }))
  await expectHeading(visitor, t('merges.title'))
  await visitor.press(page.getByRole('link', { name: t('merges.undo') }))
  await expectHeading(visitor, t('merge_undo.heading'))
  expect(await page.textContent('main')).toContain('鈴木 花子')
  await visitor.walkByKeyboard()
  await press(visitor, t('merge_undo.send'))
  await expectHeading(visitor, t('merge_undo.code_heading'))
  await page.getByLabel(t('field.code')).fill('12')
  await press(visitor, t('merge_undo.submit'))
  await expectHeading(visitor, t('merge_undo.code_heading'))
  const subject = t('mail.merge_undo_code.subject', { serviceName })
  const { text } = await world.mailTo(absorbed.email, subject)
  await page.getByLabel(t('field.code')).fill(/\b\d{6}\b/.exec(text)?.[0] ?? '')
  await press(visitor, t('merge_undo.submit'))

  // Both are signed out by it.
  await page.getByLabel(t('field.email'), { exact: true }).waitFor()
  const owners = await world.db.federatedIdentity.findMany({ where: { subject: held.subject } })
  expect(owners.map(({ memberId }) => memberId)).toEqual([absorbed.id])
})
