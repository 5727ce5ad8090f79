import type { Browser, Page } from '../support/browser.ts'
import type { GivenMember } from '../support/given.ts'

/** Goes where a relying party sends its visitors, signing in if that is asked; the page after that. */
export async function signInFrom(
  browser: Browser,
  start: URL | string | Promise<Page>,
  { email, password }: Pick<GivenMember, 'email' | 'password'>,
): Promise<Page> {
  const page = await (typeof start === 'string' || start instanceof URL ? browser.open(start) : start)
  return page.url.pathname.endsWith('/sign-in') ? browser.submit(page, '/sign-in', { email, password }) : page
}
