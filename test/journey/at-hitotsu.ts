import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { Visitor } from '../support/chromium.ts'
import type { World } from '../support/world.ts'
import { readCode } from './at-inbox.ts'

export interface Person {
  name: string
  email: string
  password: string
}

export const serviceName = 'Hitotsu'
const connectionNames = {
  line: { ja: 'LINE', en: 'LINE' },
  ec: { ja: 'デモストア', en: 'Demo Store' },
}
export type ConnectionId = keyof typeof connectionNames

export const connectionName = ({ locale }: Visitor, id: ConnectionId) => connectionNames[id][locale]

/** What a message about a connection needs. */
export const namesOf = (visitor: Visitor, id: ConnectionId) => ({
  connection: connectionName(visitor, id),
  service: serviceName,
})

export function newPerson(): Person {
  const email = `person-${randomBytes(4).toString('hex')}@example.com`
  return { name: 'Hanako Suzuki', email, password: 'violet harbor lantern' }
}

/** Presses the button with these words. */
export async function press(visitor: Visitor, words: string): Promise<void> {
  await visitor.press(visitor.page.getByRole('button', { name: words, exact: true }))
}

/** Fills the field with this label. */
export async function fill({ page, t }: Visitor, field: string, value: string): Promise<void> {
  await page.getByLabel(t(`field.${field}`), { exact: true }).fill(value)
}

/** The page's own title says where this person is. */
export async function expectHeading({ page }: Visitor, words: string): Promise<void> {
  expect((await page.getByRole('heading', { level: 1 }).innerText()).trim()).toBe(words)
}

export async function expectAccountPage(visitor: Visitor, world: World): Promise<void> {
  expect(new URL(visitor.page.url()).pathname).toBe('/account')
  expect(new URL(visitor.page.url()).origin).toBe(world.hitotsu.url)
}

/** What the account page says has just happened. */
export async function expectNotice(visitor: Visitor, key: string, id: ConnectionId): Promise<void> {
  const words = visitor.t(`flash.${key}`, { name: connectionName(visitor, id) })
  expect((await visitor.page.getByRole('status').innerText()).trim()).toBe(words)
}

/** From the front page to the account page of a new member. */
export async function signUp(visitor: Visitor, world: World, person: Person): Promise<void> {
  const { page, t } = visitor
  await visitor.open(world.hitotsu.url)
  await visitor.press(page.getByRole('link', { name: t('home.sign_up'), exact: true }))
  await fill(visitor, 'name', person.name)
  await fill(visitor, 'email', person.email)
  await fill(visitor, 'password', person.password)
  await press(visitor, t('sign_up.submit'))
  await enterCode(visitor, world, person.email)
  await expectAccountPage(visitor, world)
}

/** Types the code that was sent to prove this address. */
export async function enterCode(visitor: Visitor, world: World, email: string): Promise<void> {
  await expectHeading(visitor, visitor.t('verify_email.title'))
  await fill(visitor, 'code', await readCode(visitor, world, email))
  await press(visitor, visitor.t('verify_email.submit'))
}

/** Fills the sign-in page and goes on from there. */
export async function enterPassword(
  visitor: Visitor,
  { email, password }: Omit<Person, 'name'>,
): Promise<void> {
  await fill(visitor, 'email', email)
  await fill(visitor, 'password', password)
  await press(visitor, visitor.t('sign_in.submit'))
}

export async function signIn(visitor: Visitor, world: World, person: Omit<Person, 'name'>): Promise<void> {
  await visitor.open(`${world.hitotsu.url}/account`)
  await enterPassword(visitor, person)
  await expectAccountPage(visitor, world)
}

/** On the account page: the upstream's page comes next. */
export async function startLink(visitor: Visitor, id: ConnectionId): Promise<void> {
  const name = connectionName(visitor, id)
  await press(visitor, visitor.t(id === 'line' ? 'connection.line.link' : 'connection.other.link', { name }))
}

/** On the page that asks for the agreement to a link. */
export async function agreeToLink(
  visitor: Visitor,
  id: ConnectionId,
  purpose: 'link' | 'sign_in' = 'link',
): Promise<void> {
  await expectHeading(visitor, visitor.t('confirm.heading', namesOf(visitor, id)))
  await press(visitor, visitor.t(`confirm.agree_${purpose}`, namesOf(visitor, id)))
}

/** From the account page through the page that asks once more, back to the account page. */
export async function unlink(visitor: Visitor, id: ConnectionId): Promise<void> {
  await openUnlink(visitor, id)
  await press(visitor, visitor.t('unlink.submit'))
}

export async function openUnlink(visitor: Visitor, id: ConnectionId): Promise<void> {
  const { page, t } = visitor
  const heading = page.getByRole('heading', { name: connectionName(visitor, id), exact: true })
  const tile = page.getByRole('listitem').filter({ has: heading })
  await visitor.press(tile.getByRole('link', { name: t('account.unlink') }))
}

/** The names of the accounts that the account page shows as linked. */
export async function linkedAccounts({ page, t }: Visitor): Promise<string[]> {
  const linked = page.getByText(t('account.linked'), { exact: true })
  return page.getByRole('listitem').filter({ has: linked }).getByRole('heading').allInnerTexts()
}
