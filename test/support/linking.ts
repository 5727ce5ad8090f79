import { randomInt } from 'node:crypto'
import { expect } from 'vitest'
import type { TestApp } from './app.ts'
import { type Browser, openBrowser, type Page } from './browser.ts'
import type { GivenMember } from './given.ts'

/** A browser at an address of its own, so that limits per source do not add up over a file's tests (TRUST_PROXY=1). */
export function visitor(language = 'en'): Browser {
  const octet = () => randomInt(1, 255)
  return openBrowser(language, `198.18.${octet()}.${octet()}`)
}

/** Signs in at our own pages and ends on the account page. */
export async function signInTo(
  server: TestApp,
  { email, password }: Pick<GivenMember, 'email' | 'password'>,
  browser: Browser = visitor(),
): Promise<Browser> {
  const form = await browser.open(`${server.issuer}/account`)
  const page = await browser.submit(form, '/sign-in', { email, password })
  expect(page.url.pathname).toBe('/account')
  return browser
}

/** Presses "link" on the account page; what an upstream that answers at once leads to. */
export async function pressLink(server: TestApp, browser: Browser, connectionId: string): Promise<Page> {
  const account = await browser.open(`${server.issuer}/account`)
  return browser.submit(account, `/connections/${connectionId}/link`)
}

/** Presses "link", agrees, and ends on the account page. */
export async function linkThrough(server: TestApp, browser: Browser, connectionId: string): Promise<Page> {
  const page = await browser.submit(await pressLink(server, browser, connectionId), '/agree')
  expect(`${page.url.pathname}${page.url.search}`).toBe(`/account?notice=linked&connection=${connectionId}`)
  return page
}

/** The address at which an upstream sends the browser back, not yet visited. */
export async function catchCallback(
  server: TestApp,
  browser: Browser,
  connectionId: string,
  act: () => Promise<Page> = () => pressLink(server, browser, connectionId),
): Promise<URL> {
  browser.stopAt(`${server.issuer}/connections/`)
  const { url } = await act()
  browser.stopAt(undefined)
  expect(url.pathname).toBe(`/connections/${connectionId}/callback`)
  return url
}

const tables = [
  'Member',
  'ContactPoint',
  'PasswordCredential',
  'FederatedIdentity',
  'FormerIdentity',
  'LinkConsent',
  'UpstreamToken',
  'LinkConflict',
  'Merge',
  'Reward',
  'Grant',
] as const

export interface Changes<T> {
  result: T
  /** Rows that came (+), went (-) or are different (~), by table; tables in which nothing happened are not named. */
  rows: Record<string, string>
  /** What was recorded, in order, but for the steps that are only counted. */
  events: { type: string; memberId: string | null; data: unknown }[]
}

/** How far links got on the way: no change by themselves. */
const steps = ['link.prompted', 'link.started', 'link.proved', 'link.consented']

/** What `act` did to the database, all of it: what is not in the answer did not happen. */
export async function changesOf<T>(server: TestApp, act: () => Promise<T>): Promise<Changes<T>> {
  await server.app.dispatcher.drain()
  const [before, position] = await Promise.all([readAll(server), lastPosition(server)])
  const result = await act()
  await server.app.dispatcher.drain()
  const after = await readAll(server)
  const events = await server.db.event.findMany({
    where: { position: { gt: position }, type: { notIn: steps } },
    orderBy: { position: 'asc' },
    select: { type: true, memberId: true, data: true },
  })
  const rows = tables.flatMap((table): [string, string][] => {
    const text = difference(before.get(table) ?? new Map(), after.get(table) ?? new Map())
    return text ? [[table, text]] : []
  })
  return { result, rows: Object.fromEntries(rows), events }
}

/** Types of events alone, for tests that say no more about them. */
export const typesOf = ({ events }: Changes<unknown>) => events.map(({ type }) => type)

async function lastPosition({ db }: TestApp): Promise<bigint> {
  return (await db.event.findFirst({ orderBy: { position: 'desc' } }))?.position ?? 0n
}

async function readAll({ db }: TestApp): Promise<Map<string, Map<string, string>>> {
  const read = async (table: string): Promise<[string, Map<string, string>]> => {
    const rows = await db.$queryRawUnsafe<{ key: string; text: string }[]>(
      `SELECT coalesce(to_jsonb(t)->>'id', to_jsonb(t)->>'memberId') AS key, t::text AS text FROM "${table}" t`,
    )
    return [table, new Map(rows.map(({ key, text }) => [key, text]))]
  }
  return new Map(await Promise.all(tables.map(read)))
}

function difference(before: Map<string, string>, after: Map<string, string>): string {
  const came = [...after.keys()].filter((key) => !before.has(key)).length
  const went = [...before.keys()].filter((key) => !after.has(key)).length
  const changed = [...after].filter(([key, text]) => before.has(key) && before.get(key) !== text).length
  return [came && `+${came}`, went && `-${went}`, changed && `~${changed}`].filter(Boolean).join(' ')
}
