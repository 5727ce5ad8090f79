import type { TestApp } from './app.ts'
import { type Browser, openBrowser, type Page } from './browser.ts'
import { type GivenMember, givenClient } from './given.ts'
import { begin, type RelyingParty, redeem, relyingParty } from './relying-party.ts'

/** Every scope of OpenID Connect there is here. */
export const everything = 'openid profile email phone address linked_accounts'
export type ClientInput = NonNullable<Parameters<typeof givenClient>[1]>

/** A relying party that may ask for all of it. */
export async function givenParty(server: TestApp, input: ClientInput = {}): Promise<RelyingParty> {
  const scopes = [...everything.split(' '), 'offline_access']
  return relyingParty(server, await givenClient(server, { scopes, ...input }))
}

/** A browser in which this member is signed in and has allowed this relying party what `parameters` ask for. */
export async function givenAllowed(
  party: RelyingParty,
  member: GivenMember,
  parameters = {},
  language = 'en',
) {
  const browser = openBrowser(language)
  const { page, attempt } = await ask(party, browser, parameters, member)
  const answer = page.status === 0 ? page : await browser.submit(page, '/consent')
  return { browser, tokens: await redeem(party, answer.url, attempt) }
}

/** Where a request leads somebody who signs in if asked. */
export async function ask(
  party: RelyingParty,
  browser: Browser,
  parameters: Record<string, string> = {},
  member?: GivenMember,
) {
  browser.stopAt(party.redirectUri)
  const attempt = await begin(party, parameters)
  const page = await browser.open(attempt.url)
  if (!member || !page.url.pathname.endsWith('/sign-in')) return { page, attempt }
  const { email, password } = member
  return { page: await browser.submit(page, '/sign-in', { email, password }), attempt }
}

/** What a person reads between two headings, or to the end of the page. */
export function section(page: Page, heading: string): string {
  const [, rest = ''] = page.html.split(`<h2 class="section-title">${heading}</h2>`)
  return (rest.split(/<h2|<form/)[0] ?? '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

/** The claims parameter that asks for these by their names (OpenID Connect Core 5.5). */
export const claims = (names: string[], at = 'userinfo') =>
  JSON.stringify({ [at]: Object.fromEntries(names.map((name) => [name, null])) })
