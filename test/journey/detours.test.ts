import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { texts } from '../../src/demo/store/language.ts'
import { type Chromium, openChromium, type Visitor } from '../support/chromium.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { startWorld, type World } from '../support/world.ts'
import {
  agreeToLink,
  connectionName,
  enterPassword,
  expectAccountPage,
  expectHeading,
  expectNotice,
  linkedAccounts,
  namesOf,
  press,
  signIn,
  startLink,
} from './at-hitotsu.ts'
import { allowAtLine, cancelAtLine, givenLinePerson, signInAtLine } from './at-line.ts'
import { declineAtStore, enterWithMemberId, givenStoreAccount, signInWithStoreAccount } from './at-store.ts'

let world: World
let chromium: Chromium
let visitor: Visitor
let member: GivenMember
let linePerson: ReturnType<typeof givenLinePerson>
beforeAll(async () => {
  ;[world, chromium] = await Promise.all([startWorld(), openChromium()])
})
afterEach(() => chromium.endVisits())
afterAll(() => Promise.all([chromium.close(), world.close()]))

async function arriveAtAccount(): Promise<void> {
  visitor = await chromium.visit()
  member = await givenMember(world)
  linePerson = givenLinePerson(world)
  await signIn(visitor, world, member)
}

async function goToLinkConsent(tab: Visitor): Promise<void> {
  await startLink(tab, 'line')
  await signInAtLine(tab, linePerson)
  await allowAtLine(tab)
  await expectHeading(tab, tab.t('confirm.heading', namesOf(tab, 'line')))
}

const links = () => world.db.federatedIdentity.count({ where: { memberId: member.id } })
const agreements = () => world.db.linkConsent.count({ where: { memberId: member.id } })

async function expectOneLink(): Promise<void> {
  expect(await linkedAccounts(visitor)).toEqual([connectionName(visitor, 'line')])
  expect(await links()).toBe(1)
  expect(await agreements()).toBe(1)
}

describe('two tabs', () => {
  test('a link begun in both and finished in both is one link', async () => {
    await arriveAtAccount()
    const other = await visitor.newTab()
    await other.open(`${world.hitotsu.url}/account`)
    await startLink(visitor, 'line')
    await startLink(other, 'line')

    await signInAtLine(visitor, linePerson)
    await allowAtLine(visitor)
    await agreeToLink(visitor, 'line')
    await signInAtLine(other, linePerson)

    await expectAccountPage(other, world)
    await expectNotice(other, 'already_linked', 'line')
    await expectOneLink()
  })

  test('an agreement given in both is one link', async () => {
    await arriveAtAccount()
    const other = await visitor.newTab()
    await other.open(`${world.hitotsu.url}/account`)
    await startLink(other, 'line')
    await goToLinkConsent(visitor)
    await signInAtLine(other, linePerson)

    await agreeToLink(visitor, 'line')
    await agreeToLink(other, 'line')

    await expectAccountPage(other, world)
    await expectNotice(other, 'already_linked', 'line')
    await expectOneLink()
  })
})

describe('a page seen twice', () => {
  test('a reload of the page that asks for the agreement asks again', async () => {
    await arriveAtAccount()
    await goToLinkConsent(visitor)
    await visitor.page.reload()
    expect(await links()).toBe(0)
    await agreeToLink(visitor, 'line')
    await expectOneLink()
  })

  test('a double click on the agreement is one link', async () => {
    await arriveAtAccount()
    await goToLinkConsent(visitor)
    const { page, t } = visitor
    const button = page.getByRole('button', { name: t('confirm.agree_link', namesOf(visitor, 'line')) })
    await Promise.all([page.waitForURL(`${world.hitotsu.url}/account*`), button.dblclick()])
    await visitor.look()
    await expectOneLink()
  })

  test('the back button after linking leads to the account page again, not to an error', async () => {
    await arriveAtAccount()
    await goToLinkConsent(visitor)
    await agreeToLink(visitor, 'line')
    await visitor.page.goBack()
    await visitor.look()
    await expectAccountPage(visitor, world)
    await expectOneLink()
  })
})

describe('second thoughts', () => {
  test('who cancels at LINE is back at the account page, and nothing is linked', async () => {
    await arriveAtAccount()
    await startLink(visitor, 'line')
    await signInAtLine(visitor, linePerson)
    await cancelAtLine(visitor)
    await expectNotice(visitor, 'declined', 'line')
    expect(await links()).toBe(0)
  })

  test('who does not let the store vouch is back at the account page, and nothing is linked', async () => {
    await arriveAtAccount()
    await startLink(visitor, 'ec')
    await signInWithStoreAccount(visitor, await givenStoreAccount(world))
    await declineAtStore(visitor)
    await expectNotice(visitor, 'declined', 'ec')
    expect(await links()).toBe(0)
  })

  test('who does not agree to the link is back at the account page, and nothing is linked', async () => {
    await arriveAtAccount()
    await goToLinkConsent(visitor)
    await press(visitor, visitor.t('confirm.decline'))
    await expectNotice(visitor, 'declined', 'line')
    expect(await links()).toBe(0)
  })

  test('who shares nothing with the store reads there, in plain words, that they did not sign in', async () => {
    visitor = await chromium.visit({ locale: 'ja', screen: 'phone' })
    await enterWithMemberId(visitor, world)
    await enterPassword(visitor, await givenMember(world))
    await press(visitor, visitor.t('consent.deny'))
    expect(new URL(visitor.page.url()).origin).toBe(world.store.url)
    await expectHeading(visitor, texts.ja.declinedTitle)
  })
})
