import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { translator } from '../../src/http/i18n.ts'
import { type Chromium, openChromium, type VisitOptions, type Visitor } from '../support/chromium.ts'
import { givenIdentity, givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  connectionName,
  expectHeading,
  expectNotice,
  fill,
  linkedAccounts,
  namesOf,
  press,
  serviceName,
  signIn,
  startLink,
} from './at-hitotsu.ts'
import { allowAtLine, givenLinePerson, lineSubject, signInAtLine } from './at-line.ts'

let world: World
let chromium: Chromium
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

const holderOf = async (subject: string) =>
  (await world.db.federatedIdentity.findFirst({ where: { subject } }))?.memberId

/** A member who has just proved a LINE account that is linked to another member ID of theirs. */
async function claimLine(options: VisitOptions) {
  const linePerson = givenLinePerson(world)
  const [owner, claimant] = [await givenMember(world), await givenMember(world)]
  const subject = lineSubject(linePerson)
  await givenIdentity(world, { memberId: owner.id, connectionId: 'line', subject, name: linePerson.name })
  const visitor = await chromium.visit(options)
  await signIn(visitor, world, claimant)
  await startLink(visitor, 'line')
  await signInAtLine(visitor, linePerson)
  await allowAtLine(visitor)
  await expectHeading(visitor, visitor.t('conflict.heading', namesOf(visitor, 'line')))
  return { visitor, owner, claimant, subject }
}

/** Follows the link with these words. */
async function follow(visitor: Visitor, key: string): Promise<void> {
  await visitor.press(visitor.page.getByRole('link', { name: visitor.t(key), exact: true }))
}

const visits: [string, VisitOptions][] = [
  ['on a phone, in Japanese', { screen: 'phone', locale: 'ja' }],
  ['on a desktop, in English, in the dark, without scripts', { locale: 'en', dark: true, scripts: false }],
]

test.each(visits)(
  'a member with LINE on another member ID moves it, and both are told: %s',
  { timeout: 60_000 },
  async (_, options) => {
    const { visitor, owner, claimant, subject } = await claimLine(options)
    await visitor.walkByKeyboard()
    await follow(visitor, 'conflict.move_next')
    await expectHeading(visitor, visitor.t('move.heading', namesOf(visitor, 'line')))
    await visitor.walkByKeyboard()
    await press(visitor, visitor.t('move.submit'))

    await expectNotice(visitor, 'moved', 'line')
    expect(await linkedAccounts(visitor)).toEqual([connectionName(visitor, 'line')])
    expect(await holderOf(subject)).toBe(claimant.id)
    // Members that came to be without a page speak English.
    const subjectOf = (name: string) => translator('en')(`mail.${name}.subject`, { serviceName })
    await world.mailTo(claimant.email, subjectOf('identity_moved'))
    await world.mailTo(owner.email, subjectOf('identity_moved_away'))
  },
)

test.each(visits)(
  'a member with LINE on another member ID makes the two one: %s',
  { timeout: 60_000 },
  async (_, options) => {
    const { visitor, owner, claimant, subject } = await claimLine(options)
    const { page, t } = visitor
    await follow(visitor, 'conflict.merge_next')
    await expectHeading(visitor, t('merge_preview.heading'))
    await follow(visitor, 'merge_preview.swap')
    expect(await page.getByText(t('merge_preview.sign_in_again')).count()).toBe(1)
    await follow(visitor, 'merge_preview.swap')
    await visitor.walkByKeyboard()
    await press(visitor, t('merge_preview.submit'))

    await expectNotice(visitor, 'merged', 'line')
    expect(await linkedAccounts(visitor)).toEqual([connectionName(visitor, 'line')])
    expect(await holderOf(subject)).toBe(claimant.id)
    const absorbed = await world.db.member.findUniqueOrThrow({ where: { id: owner.id } })
    expect(absorbed.status).toBe('absorbed')
  },
)

test.each(visits)(
  'where LINE only links, the member signs in to the other member ID as well, or asks: %s',
  { timeout: 60_000 },
  async (_, options) => {
    await world.db.connection.update({ where: { id: 'line' }, data: { allowSignIn: false } })
    try {
      const { visitor, owner, claimant, subject } = await claimLine(options)
      const { page, t } = visitor
      expect(await page.getByText(owner.email.split('@')[0] ?? '').count()).toBe(0)
      await press(visitor, t('conflict.raise_submit'))
      expect(await page.getByRole('status').innerText()).toContain(t('conflict.raised'))
      await visitor.walkByKeyboard()

      await follow(visitor, 'conflict.owner_sign_in_next')
      await expectHeading(visitor, t('owner_sign_in.heading'))
      await fill(visitor, 'email', owner.email)
      await fill(visitor, 'password', 'not the password')
      await press(visitor, t('owner_sign_in.submit'))
      await visitor.walkByKeyboard()
      await fill(visitor, 'password', owner.password)
      await press(visitor, t('owner_sign_in.submit'))

      await follow(visitor, 'conflict.move_next')
      await press(visitor, t('move.submit'))
      await expectNotice(visitor, 'moved', 'line')
      expect(await holderOf(subject)).toBe(claimant.id)
    } finally {
      await world.db.connection.update({ where: { id: 'line' }, data: { allowSignIn: true } })
    }
  },
)
