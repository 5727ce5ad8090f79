import { generateKeyPair, SignJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { begin, type RelyingParty, relyingParty, signIn, type Tokens } from '../support/relying-party.ts'

const goodbye = 'https://shop.example.com/goodbye'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

/** A member who is signed in at a relying party of their own. */
async function givenSignedIn(scope = 'openid') {
  const member = await givenMember(server)
  const client = await givenClient(server, { postLogoutRedirectUris: [goodbye] })
  const [party, browser] = [await relyingParty(server, client), openBrowser()]
  const tokens = await signIn(party, browser, member, { scope })
  return { member, client, party, browser, tokens }
}

function signOutUrl(party: RelyingParty, tokens: Tokens, parameters: Record<string, string> = {}): URL {
  return oidc.buildEndSessionUrl(party.config, { id_token_hint: tokens.id_token ?? '', ...parameters })
}

async function isSignedIn(party: RelyingParty, browser: Browser): Promise<boolean> {
  browser.stopAt(party.redirectUri)
  const { url } = await browser.open((await begin(party, { prompt: 'none' })).url)
  return url.searchParams.has('code')
}

const userinfo = async (token: string) =>
  (await send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status

describe('RP-Initiated Logout 1.0 section 2: the member decides', () => {
  test('nobody is signed out by being sent here: the page asks first', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const page = await browser.open(signOutUrl(party, tokens, { post_logout_redirect_uri: goodbye }))
    expect([page.status, page.url.pathname]).toEqual([200, '/sign-out'])
    expect(page.html).toContain('name="logout" value="yes"')
    expect(await isSignedIn(party, browser)).toBe(true)
  })

  test('a form of another site, with which no cookie comes, neither: the browser comes again, with its cookie', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const form = { id_token_hint: tokens.id_token ?? '', post_logout_redirect_uri: goodbye, state: 'a b&c' }
    const foreign = { origin: 'https://shop.example.com', 'sec-fetch-site': 'cross-site' }
    const sent = await post(server, '/sign-out', form, { headers: { accept: 'text/html', ...foreign } })
    expect([sent.status, sent.headers['set-cookie']]).toEqual([303, undefined])
    const page = await browser.open(new URL(String(sent.headers.location), server.issuer))
    expect(page.html).toContain('name="logout" value="yes"')
    expect(await isSignedIn(party, browser)).toBe(true)
    browser.stopAt(goodbye)
    const again = await browser.open(page.url)
    const { url } = await browser.submit(again, '/sign-out/confirm', { logout: 'yes' })
    expect(url.searchParams.get('state')).toBe('a b&c')
  })

  test.each([
    ['JSON', { 'content-type': 'application/json' }, 415],
    ['something compressed', { 'content-encoding': 'gzip' }, 415],
    ['a form that is too long', {}, 413],
  ])('%s is no form', async (_, headers, status) => {
    const form = { state: status === 413 ? 'x'.repeat(8_000) : 'x' }
    expect((await post(server, '/sign-out', form, { headers })).status).toBe(status)
  })

  test('a form that was not on the page signs nobody out', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const page = await browser.open(signOutUrl(party, tokens))
    const forged = await browser.submit(page, '/sign-out/confirm', { xsrf: 'guessed', logout: 'yes' })
    expect(forged.status).toBe(400)
    expect(await isSignedIn(party, browser)).toBe(true)
  })

  test('a member who declines stays signed in', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const page = await browser.open(signOutUrl(party, tokens))
    expect((await browser.submit(page, '/sign-out/confirm')).status).toBe(200)
    expect((await browser.open(`${server.issuer}/account`)).url.pathname).toBe('/account')
  })

  test('the page names the relying party in the language of the reader', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    expect((await browser.open(signOutUrl(party, tokens))).html).toContain(`Shop ${party.id}`)
    const japanese = signOutUrl(party, tokens, { ui_locales: 'ja' })
    expect((await browser.open(japanese)).html).toContain(`店 ${party.id}`)
  })
})

describe('RP-Initiated Logout 1.0 section 3: where the browser goes afterwards', () => {
  test.each([
    ['another host', 'https://evil.example/goodbye'],
    ['a longer path', `${goodbye}/further`],
    ['a query', `${goodbye}?next=https://evil.example`],
    ['http', 'http://shop.example.com/goodbye'],
    ['the redirect_uri', 'callback'],
  ])('an address that differs by %s is refused, and nobody redirected', async (_, uri) => {
    const { party, browser, tokens } = await givenSignedIn()
    const address = uri === 'callback' ? party.redirectUri : uri
    const page = await browser.open(signOutUrl(party, tokens, { post_logout_redirect_uri: address }))
    expect([page.status, page.url.pathname]).toEqual([400, '/sign-out'])
    expect(await isSignedIn(party, browser)).toBe(true)
  })

  test('an address without a client to check it against is not followed', async () => {
    const { browser } = await givenSignedIn()
    const page = await browser.open(`${server.issuer}/sign-out?post_logout_redirect_uri=${goodbye}`)
    const { url } = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect(url.origin).toBe(server.issuer)
  })

  describe('an id_token_hint', () => {
    const changed = (token: string) => {
      const [header, payload, signature] = token.split('.')
      const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())
      const other = Buffer.from(JSON.stringify({ ...claims, sub: 'somebody' })).toString('base64url')
      return `${header}.${other}.${signature}`
    }
    const unsigned = (token: string) => {
      const header = Buffer.from('{"alg":"none"}').toString('base64url')
      return `${header}.${token.split('.')[1]}.`
    }
    const faults: [string, (tokens: Tokens) => string][] = [
      ['was changed', ({ id_token = '' }) => changed(id_token)],
      ['is not signed', ({ id_token = '' }) => unsigned(id_token)],
      ['is no token', () => 'no-token'],
      ['is another kind of token', ({ access_token }) => access_token],
    ]
    test.each(faults)('that %s is refused on a page of ours, and nobody redirected', async (_, hint) => {
      const { party, browser, tokens } = await givenSignedIn()
      const parameters = { id_token_hint: hint(tokens), post_logout_redirect_uri: goodbye, ui_locales: 'ja' }
      const page = await browser.open(signOutUrl(party, tokens, parameters))
      expect([page.status, page.url.pathname]).toEqual([400, '/sign-out'])
      for (const part of ['<html lang="ja">', '手続きを続けられません', '<code>invalid_request</code>'])
        expect(page.html).toContain(part)
      expect(await isSignedIn(party, browser)).toBe(true)
    })

    test('of another client than the one named is refused', async () => {
      const { party, browser, tokens } = await givenSignedIn()
      const { id } = await givenClient(server)
      const page = await browser.open(signOutUrl(party, tokens, { client_id: id }))
      expect(page.status).toBe(400)
    })

    test('that has expired is good for this', async () => {
      const { party, browser, tokens } = await givenSignedIn()
      vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: true, now: Date.now() + 2 * 3_600_000 })
      onTestFinished(() => void vi.useRealTimers())
      expect(tokens.claims()?.exp).toBeLessThan(Date.now() / 1000)
      const page = await browser.open(signOutUrl(party, tokens, { post_logout_redirect_uri: goodbye }))
      browser.stopAt(goodbye)
      const { url } = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
      expect(url.href).toBe(goodbye)
    })
  })

  test.each([
    ['an unknown client', '?client_id=nobody', 'invalid_client'],
    ['a parameter twice', '?state=a&state=b', 'invalid_request'],
  ])('%s is refused', async (_, query, code) => {
    const page = await openBrowser().open(`${server.issuer}/sign-out${query}`)
    expect(page.status).toBe(400)
    expect(page.html).toContain(`<code>${code}</code>`)
  })

  test.each([
    ['nothing at all', ''],
    ['a state and no address', '?state=abc'],
    ['a hint of who it is about, and languages', '?logout_hint=hanako&ui_locales=en'],
  ])('with %s the browser ends on a page of ours', async (_, query) => {
    const { party, browser } = await givenSignedIn()
    const page = await browser.open(`${server.issuer}/sign-out${query}`)
    const after = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect([after.status, after.url.href]).toEqual([200, `${server.issuer}/sign-out/success`])
    expect(await isSignedIn(party, browser)).toBe(false)
  })

  test('a client may be named instead of hinted at; without a state none comes back', async () => {
    const { party, browser } = await givenSignedIn()
    const query = new URLSearchParams({ client_id: party.id, post_logout_redirect_uri: goodbye })
    const page = await browser.open(`${server.issuer}/sign-out?${query}`)
    browser.stopAt(goodbye)
    const { url } = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect(url.href).toBe(goodbye)
  })

  test('who is signed out already is sent on', async () => {
    const { party, tokens } = await givenSignedIn()
    const browser = openBrowser()
    const parameters = { post_logout_redirect_uri: goodbye, state: 'abc' }
    const page = await browser.open(signOutUrl(party, tokens, parameters))
    browser.stopAt(goodbye)
    const { url } = await browser.submit(page, '/sign-out/confirm')
    expect(url.href).toBe(`${goodbye}?state=abc`)
  })

  test('an id_token_hint that somebody else signed is refused', async () => {
    const { party, browser } = await givenSignedIn()
    const { privateKey } = await generateKeyPair('ES256')
    const forged = await new SignJWT({ sub: 'somebody' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(server.issuer)
      .setAudience(party.id)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey)
    const url = `${server.issuer}/sign-out?id_token_hint=${forged}&post_logout_redirect_uri=${goodbye}`
    expect((await browser.open(url)).status).toBe(400)
  })

  test('a registered address gets the browser and the state', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const parameters = { post_logout_redirect_uri: goodbye, state: 'a b&c' }
    const page = await browser.open(signOutUrl(party, tokens, parameters))
    browser.stopAt(goodbye)
    const { url } = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect(url.origin + url.pathname).toBe(goodbye)
    expect(Object.fromEntries(url.searchParams)).toEqual({ state: 'a b&c' })
  })
})

describe('what signing out ends, and what it does not', () => {
  async function signOut(party: RelyingParty, browser: Browser, tokens: Tokens) {
    const page = await browser.open(signOutUrl(party, tokens))
    const after = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect([after.status, after.url.origin]).toEqual([200, server.issuer])
  }

  test('the session cookie of before is dead, also in the hands of who kept it', async () => {
    const { party, browser, tokens } = await givenSignedIn()
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    const silent = async () =>
      (await send((await begin(party, { prompt: 'none' })).url, { headers: { cookie } })).headers
    expect((await silent()).location).toContain('code=')
    await signOut(party, browser, tokens)
    expect((await silent()).location).toContain('error=login_required')
    const account = await send(`${server.issuer}/account`, { headers: { cookie } })
    expect(account.headers.location).toContain('/authorize')
  })

  test('access tokens that were given in the session are over', async () => {
    const { client, party, browser, tokens } = await givenSignedIn()
    expect(await userinfo(tokens.access_token)).toBe(200)
    await signOut(party, browser, tokens)
    expect(await userinfo(tokens.access_token)).toBe(401)
    const about = await post(server, '/introspect', { token: tokens.access_token }, { client })
    expect(about.json).toEqual({ active: false })
  })

  test('sessions in other browsers go on', async () => {
    const { member, party, browser, tokens } = await givenSignedIn()
    const other = openBrowser()
    const kept = await signIn(party, other, member)
    await signOut(party, browser, tokens)
    expect(await isSignedIn(party, other)).toBe(true)
    expect(await userinfo(kept.access_token)).toBe(200)
  })

  test('what the member allowed is remembered: the next sign-in asks for the password alone', async () => {
    const { member, party, browser, tokens } = await givenSignedIn()
    await signOut(party, browser, tokens)
    browser.stopAt(party.redirectUri)
    const page = await browser.open((await begin(party)).url)
    const { email, password } = member
    const { url } = await browser.submit(page, '/sign-in', { email, password })
    expect(url.searchParams.has('code')).toBe(true)
  })

  test('offline access goes on (OpenID Connect Core section 11), given in this browser or in another', async () => {
    const { member, client, party, browser, tokens } = await givenSignedIn('openid offline_access')
    const other = openBrowser()
    const online = await signIn(party, other, member)
    await signOut(party, browser, tokens)
    await signOut(party, other, online)
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
    expect((await post(server, '/token', form, { client })).status).toBe(200)
  })
})
