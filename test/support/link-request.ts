import type { Browser, Page } from './browser.ts'
import { ask } from './consent.ts'
import type { GivenMember } from './given.ts'
import { visitor } from './linking.ts'
import { type Attempt, type RelyingParty, redeem } from './relying-party.ts'

/** A relying party's request for a link, wherever it has led the member by now. */
export interface LinkRequest {
  browser: Browser
  page: Page
  attempt: Attempt
}

/** Sends a member with `link_connection`; they sign in where they are asked to. */
export async function requestLink(
  party: RelyingParty,
  member: GivenMember,
  parameters: Record<string, string>,
  browser: Browser = visitor(),
): Promise<LinkRequest> {
  const { page, attempt } = await ask(party, browser, parameters, member)
  return { browser, page, attempt }
}

/** Agrees to what the relying party may have, if that is asked, and takes what comes back there: the ID token's claims. */
export async function answerOf(party: RelyingParty, { browser, page, attempt }: LinkRequest) {
  const last = page.url.pathname.endsWith('/consent') ? await browser.submit(page, '/consent') : page
  if (last.status !== 0) throw new Error(`the browser is at ${last.url.pathname} (${last.status})`)
  const tokens = await redeem(party, last.url, attempt)
  const claims = tokens.claims()
  if (!claims) throw new Error('there is no ID token')
  return { tokens, claims }
}
