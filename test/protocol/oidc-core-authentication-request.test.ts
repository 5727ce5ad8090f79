import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import {
  authorize,
  begin,
  type RelyingParty,
  redeem,
  relyingParty,
  signIn,
} from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  // A member of yesterday may have sessions from before now.
  server.advance(-86_400)
  member = await givenMember(server)
  server.advance(86_400)
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

/** Where a request ends that nobody does anything for. */
async function ask(browser: Browser, parameters: Record<string, string>) {
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, parameters)).url)
}

/** A browser in which a member signed in this long ago. */
async function givenSession({ who = member, secondsAgo = 0 } = {}) {
  const browser = openBrowser()
  server.advance(-secondsAgo)
  const tokens = await signIn(party, browser, who, { max_age: '86400' }).finally(() =>
    server.advance(secondsAgo),
  )
  return { browser, tokens, authTime: tokens.claims()?.auth_time }
}

describe('OpenID Connect Core 1.0 section 3.1.2.1: prompt', () => {
  test('none without a session is login_required and never a page', async () => {
    const { url } = await ask(openBrowser(), { prompt: 'none' })
    expect(url.searchParams.get('error')).toBe('login_required')
  })

  test('none without consent is consent_required and never a page', async () => {
    const { browser } = await givenSession()
    const stranger = await relyingParty(server, await givenClient(server))
    browser.stopAt(stranger.redirectUri)
    const { url } = await browser.open((await begin(stranger, { prompt: 'none' })).url)
    expect(url.searchParams.get('error')).toBe('consent_required')
  })

  test.each(['none login', 'none consent', 'sign_up_please'])('%s is refused', async (prompt) => {
    const { browser } = await givenSession()
    const { url } = await ask(browser, { prompt })
    expect(url.searchParams.get('error')).toBe('invalid_request')
  })

  test('none with session and consent is a code', async () => {
    const { browser } = await givenSession()
    expect((await ask(browser, { prompt: 'none' })).url.searchParams.has('code')).toBe(true)
  })

  test('none is single sign-on: signed in at one relying party, the code of another comes without a page', async () => {
    const other = await relyingParty(server, await givenClient(server))
    const { browser, tokens, authTime } = await givenSession()
    await signIn(other, browser, member)
    const attempt = await begin(other, { prompt: 'none', max_age: '3600', id_token_hint: '' })
    browser.stopAt(other.redirectUri)
    const claims = (await redeem(other, (await browser.open(attempt.url)).url, attempt)).claims()
    expect([claims?.sub, claims?.auth_time]).toEqual([tokens.claims()?.sub, authTime])
  })

  test('login asks again: the password alone makes a code, and auth_time is new', async () => {
    const { browser, authTime = 0 } = await givenSession({ secondsAgo: 100 })
    const attempt = await begin(party, { prompt: 'login', max_age: '86400' })
    const page = await browser.open(attempt.url)
    expect(page.url.pathname).toMatch(/sign-in$/)

    const uid = page.url.pathname.split('/')[2]
    const around = await browser.open(`${server.issuer}/authorize/${uid}`)
    expect(around.url.pathname).toMatch(/sign-in$/)
    const wrong = await browser.submit(around, '/sign-in', { email: member.email, password: 'not this one' })
    expect(wrong.status).toBe(422)

    const { email, password } = member
    const { url } = await browser.submit(wrong, '/sign-in', { email, password })
    const claims = (await redeem(party, url, attempt)).claims()
    expect(claims?.sub).toBe(member.id)
    expect(claims?.auth_time).toBeGreaterThanOrEqual(authTime + 99)
  })

  test('consent asks again for what was allowed before', async () => {
    const { browser } = await givenSession()
    expect((await ask(browser, { prompt: 'consent' })).url.pathname).toMatch(/consent$/)
  })

  test.each([
    ['without a session', async () => openBrowser()],
    ['with a session', async () => (await givenSession()).browser],
  ])('create leads to sign-up %s', async (_, open) => {
    const page = await ask(await open(), { prompt: 'create' })
    expect(page.url.pathname).toMatch(/sign-up$/)
    expect(page.status).toBe(200)
  })

  test('create without a page is refused', async () => {
    const { url } = await ask(openBrowser(), { prompt: 'none create' })
    expect(url.searchParams.get('error')).toBe('invalid_request')
  })
})

describe('OpenID Connect Core 1.0 section 3.1.2.1: requests by POST', () => {
  test('something that is no form is refused', async () => {
    const headers = { 'content-type': 'application/json' }
    expect((await post(server, '/authorize', { client_id: party.id }, { headers })).status).toBe(415)
  })

  test('a form, which comes from another site and without cookies, gives a code from the session there is', async () => {
    const { browser } = await givenSession()
    const attempt = await begin(party, { prompt: 'none' })
    const form = Object.fromEntries(attempt.url.searchParams)
    const headers = { accept: 'text/html', origin: 'https://shop.example.com' }
    const sent = await post(server, '/authorize', form, { headers })
    expect([sent.status, sent.headers['set-cookie']]).toEqual([303, undefined])
    browser.stopAt(party.redirectUri)
    const { url } = await browser.open(new URL(String(sent.headers.location), server.issuer))
    expect((await redeem(party, url, attempt)).claims()?.sub).toBe(member.id)
  })
})

describe('OpenID Connect Core 1.0 section 3.1.2.1: max_age', () => {
  test('a session older than max_age asks again, and without a page it is login_required', async () => {
    const { browser } = await givenSession({ secondsAgo: 600 })
    const silent = await ask(browser, { max_age: '300', prompt: 'none' })
    expect(silent.url.searchParams.get('error')).toBe('login_required')
    expect((await ask(browser, { max_age: '300' })).url.pathname).toMatch(/sign-in$/)
  })

  test('max_age=0 asks again, however young the session is', async () => {
    const { browser } = await givenSession()
    expect((await ask(browser, { max_age: '0' })).url.pathname).toMatch(/sign-in$/)
  })

  test.each(['-1', 'soon', '1.5'])('max_age=%s is refused', async (maxAge) => {
    const { browser } = await givenSession()
    expect((await ask(browser, { max_age: maxAge })).url.searchParams.get('error')).toBe('invalid_request')
  })

  test('a session younger than max_age is enough', async () => {
    const { browser, authTime } = await givenSession({ secondsAgo: 600 })
    const attempt = await begin(party, { max_age: '900' })
    const claims = (
      await redeem(party, await authorize(party, browser, member, attempt.url), attempt)
    ).claims()
    expect(claims?.auth_time).toBe(authTime)
  })
})

describe('OpenID Connect Core 1.0 section 3.1.2.1: id_token_hint', () => {
  test('for another member than the one signed in, it is login_required or asks, and never gives a code', async () => {
    const { tokens } = await givenSession()
    const other = await givenMember(server)
    const { browser } = await givenSession({ who: other })
    const hint = { id_token_hint: tokens.id_token ?? '' }
    const silent = await ask(browser, { ...hint, prompt: 'none' })
    expect(silent.url.searchParams.get('error')).toBe('login_required')

    const page = await ask(browser, hint)
    expect(page.url.pathname).toMatch(/sign-in$/)
    const { email, password } = other
    const answer = await browser.submit(page, '/sign-in', { email, password })
    expect(answer.url.searchParams.get('error')).toBe('login_required')
    expect(answer.url.searchParams.has('code')).toBe(false)
  })

  test('for another member than the one signed in, that member may sign in, and gets the code', async () => {
    const { browser } = await givenSession({ who: await givenMember(server) })
    const { tokens } = await givenSession()
    const attempt = await begin(party, { id_token_hint: tokens.id_token ?? '' })
    browser.stopAt(party.redirectUri)
    const page = await browser.open(attempt.url)
    expect(page.html).not.toContain('readonly')
    const { email, password } = member
    const confirm = await browser.submit(page, '/sign-in', { email, password })
    // The engine ends the session of before by a form that sends itself.
    const { url } = await browser.submit(confirm, '/sign-out/confirm')
    expect((await redeem(party, url, attempt)).claims()?.sub).toBe(member.id)
  })

  test.each([
    ['no token', () => 'a.b.c'],
    ['a token somebody changed', (token: string) => `${token.slice(0, -10)}AAAAAAAAAA`],
  ])('%s is refused', async (_, change) => {
    const { browser, tokens } = await givenSession()
    const { url } = await ask(browser, { id_token_hint: change(tokens.id_token ?? ''), prompt: 'none' })
    expect(url.searchParams.get('error')).toBe('invalid_request')
  })

  test("another client's ID token is refused", async () => {
    const { browser } = await givenSession()
    const stranger = await relyingParty(server, await givenClient(server))
    const { id_token = '' } = await signIn(stranger, browser, member)
    const { url } = await ask(browser, { id_token_hint: id_token, prompt: 'none' })
    expect(url.searchParams.get('error')).toBe('invalid_request')
  })

  test('for the member signed in, it is a code without a page', async () => {
    const { browser, tokens } = await givenSession()
    const { url } = await ask(browser, { id_token_hint: tokens.id_token ?? '', prompt: 'none' })
    expect(url.searchParams.has('code')).toBe(true)
  })
})

describe('RFC 9700: the authorization endpoint and browsers', () => {
  test('section 4.7: a page of one browser is worth nothing in another, not even to the same member', async () => {
    const [browser, other] = [openBrowser(), openBrowser()]
    const page = await ask(browser, {})
    expect((await other.open(page.url)).status).toBe(400)
    const { email, password } = member
    expect((await other.submit(page, '/sign-in', { email, password })).status).toBe(403)
    const [, , uid] = page.url.pathname.split('/')
    other.stopAt(party.redirectUri)
    expect((await other.open(`${server.issuer}/authorize/${uid}`)).status).toBe(400)
  })

  test('section 4.7: a form without what was on the page signs nobody in', async () => {
    const browser = openBrowser()
    const page = await ask(browser, {})
    const { email, password } = member
    const answer = await browser.submit(page, '/sign-in', { email, password, _csrf: 'guessed' })
    expect(answer.status).toBe(403)
    expect((await ask(browser, { prompt: 'none' })).url.searchParams.get('error')).toBe('login_required')
  })

  test('section 2.6: no page of another origin may read its answers', async () => {
    const { url } = await begin(party)
    const answer = await send(url, { headers: { origin: 'https://shop.example.com' } })
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test('section 4.16: its pages are shown in no frame, and tell nobody where they are', async () => {
    const { headers } = await ask(openBrowser(), {})
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  })

  test('section 4.12: it redirects with 303, so that no password is sent on', async () => {
    expect((await send((await begin(party)).url)).status).toBe(303)
    const browser = openBrowser()
    const page = await ask(browser, {})
    const csrf = /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
    const { email, password } = member
    const answer = await browser.request(page.url, {
      method: 'POST',
      body: new URLSearchParams({ email, password, _csrf: csrf }),
      headers: { origin: server.issuer },
    })
    expect(answer.status).toBe(303)
  })
})
