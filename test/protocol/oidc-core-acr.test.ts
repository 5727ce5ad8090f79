import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { begin, type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

async function ask(browser: Browser, parameters: Record<string, string>) {
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, parameters)).url)
}

async function signedInBrowser(): Promise<Browser> {
  const browser = openBrowser()
  await signIn(party, browser, member)
  return browser
}

describe('OpenID Connect Core 1.0 sections 3.1.2.1 and 5.5.1.1: acr', () => {
  const acrOf = async (parameters: Record<string, string>) => {
    const claims = (await signIn(party, openBrowser(), member, parameters)).claims()
    return claims?.acr
  }
  const essential = (values: unknown) => JSON.stringify({ id_token: { acr: { essential: true, values } } })

  test.each([
    ['nothing is known of', ['urn:example:gold']],
    ['only an upstream gives', ['urn:hitotsu:acr:federated']],
  ])('an essential acr that %s ends the request after at most one sign-in', async (_, values) => {
    const browser = openBrowser()
    let page = await ask(browser, { claims: essential(values) })
    const { email, password } = member
    if (page.status === 200) page = await browser.submit(page, '/sign-in', { email, password })
    expect(page.url.searchParams.get('error')).toBe('unmet_authentication_requirements')
    expect(page.url.searchParams.has('code')).toBe(false)
  })

  test('an essential acr that cannot be met is an error without a page as well', async () => {
    const browser = await signedInBrowser()
    const never = await ask(browser, { claims: essential(['urn:example:gold']), prompt: 'none' })
    expect(never.url.searchParams.get('error')).toBe('unmet_authentication_requirements')
    const other = await ask(browser, { claims: essential(['urn:hitotsu:acr:federated']), prompt: 'none' })
    expect(other.url.searchParams.get('error')).toBe('login_required')
  })

  test.each([essential('urn:hitotsu:acr:1fa'), essential([{}])])(
    '%s asks for nothing sensible',
    async (claims) => {
      const { searchParams } = (await ask(openBrowser(), { claims })).url
      expect(searchParams.get('error')).toMatch(/^(invalid_request|unmet_authentication_requirements)$/)
    },
  )

  test.each(['urn:hitotsu:acr:1fa', 'urn:hitotsu:acr:federated', 'urn:example:gold 0', '"'])(
    'acr_values=%s is a wish: the answer says what was proved',
    async (acrValues) => {
      expect(await acrOf({ acr_values: acrValues })).toBe('urn:hitotsu:acr:1fa')
    },
  )

  test('an essential acr that is met is in the ID token, also from a session', async () => {
    const claims = essential(['urn:example:gold', 'urn:hitotsu:acr:1fa'])
    expect(await acrOf({ claims })).toBe('urn:hitotsu:acr:1fa')
    const browser = await signedInBrowser()
    expect((await ask(browser, { claims, prompt: 'none' })).url.searchParams.has('code')).toBe(true)
  })

  test('discovery names what can be asked for', () => {
    expect(party.config.serverMetadata().acr_values_supported).toEqual([
      'urn:hitotsu:acr:1fa',
      'urn:hitotsu:acr:federated',
    ])
  })
})
