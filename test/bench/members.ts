import { type Browser, openBrowser } from '../support/browser.ts'
import type { GivenClient } from '../support/given.ts'
import { begin, relyingParty, signIn as signInAt, type Tokens } from '../support/relying-party.ts'
import { password, type Side } from './sides.ts'

export interface SignedIn {
  client: GivenClient
  browser: Browser
  tokens: Tokens
}

/** A form that awaits its password, as a browser would send it. */
export interface OpenForm {
  path: string
  body: string
  headers: Record<string, string>
}

let visits = 0

/** A browser at an address of its own. */
function visit(): { browser: Browser; address: string } {
  visits += 1
  const address = `10.${(visits >> 16) & 255}.${(visits >> 8) & 255}.${visits & 255}`
  return { browser: openBrowser('ja', address), address }
}

/** This many members sign in, each at another relying party, and agree. */
export function signIn(side: Side, count: number, scope: string): Promise<SignedIn[]> {
  return several(count, async (i) => {
    const { browser } = visit()
    const { client, email } = pairing(side, i)
    const party = await relyingParty(side, client)
    const tokens = await signInAt(party, browser, { email, password }, { scope })
    return { client, browser, tokens }
  })
}

/** This many browsers stand at the sign-in page. */
export function openForms(side: Side, count: number): Promise<OpenForm[]> {
  return several(count, async (i) => {
    const { browser, address } = visit()
    const { client, email } = pairing(side, i)
    const party = await relyingParty(side, client)
    const page = await browser.open((await begin(party)).url)
    const path = /action="([^"]*\/sign-in)"/.exec(page.html)?.[1]
    const csrf = /name="_csrf" value="([^"]*)"/.exec(page.html)?.[1]
    if (!path) throw new Error(`${page.url.href} asks for no password`)
    return {
      path,
      body: new URLSearchParams({ email, password, ...(csrf && { _csrf: csrf }) }).toString(),
      headers: {
        cookie: cookieHeader(browser),
        'content-type': 'application/x-www-form-urlencoded',
        'x-forwarded-for': address,
        origin: side.issuer,
      },
    }
  })
}

export function cookieHeader(browser: Browser): string {
  return [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
}

function pairing({ clients, emails }: Side, i: number): { client: GivenClient; email: string } {
  const client = clients[i % clients.length]
  const email = emails[i % emails.length]
  if (!client || !email) throw new Error('there is nobody to sign in')
  return { client, email }
}

async function several<T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  const atOnce = 4
  for (let first = 0; first < count; first += atOnce) {
    const numbers = Array.from({ length: Math.min(atOnce, count - first) }, (_, i) => first + i)
    made.push(...(await Promise.all(numbers.map(make))))
  }
  return made
}
