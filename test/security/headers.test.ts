import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser, type Page } from '../support/browser.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { send } from '../support/post.ts'
import { begin, relyingParty } from '../support/relying-party.ts'

let server: TestApp
const pages = new Map<string, Page>()
beforeAll(async () => {
  server = await startTestApp({
    env: { TERMS_URL: 'https://example.com/terms', PRIVACY_URL: 'https://example.com/privacy' },
  })
  for (const language of ['en', 'ja']) {
    await visitAsStranger(language)
    await visitAsMember(language)
  }
})
afterAll(() => server.close())

const keep = (language: string, name: string, page: Page) => pages.set(`${name} (${language})`, page)

async function visitAsStranger(language: string): Promise<void> {
  await givenConnection(server, { id: `upstream-${language}` })
  const browser = openBrowser(language)
  const open = async (name: string, path: string) => {
    const page = await browser.open(server.issuer + path)
    keep(language, name, page)
    return page
  }
  await open('home', '/')
  await open('error', '/nowhere')
  const signIn = await open('sign in', '/account')
  const step = (name: string) => signIn.url.pathname.replace(/[^/]+$/, name)
  keep(language, 'sign in refused', await browser.submit(signIn, '/sign-in', { email: 'x', password: 'y' }))
  const forgot = await open('forgot password', step('forgot-password'))
  const reset = await browser.submit(forgot, '/forgot-password', { email: `nobody-${language}@example.com` })
  keep(language, 'reset password', reset)
  const signUp = await open('sign up', '/sign-up')
  const address = { name: 'New', email: `new-${language}@example.com`, password: 'violet harbor lantern' }
  keep(language, 'verify email', await browser.submit(signUp, '/sign-up', address))
  await open('form refused', '/locale')
}

async function visitAsMember(language: string): Promise<void> {
  const member = await givenMember(server, { name: `<b onclick="x()">${language}</b>` })
  const connectionId = `upstream-${language}`
  await givenIdentity(server, { memberId: member.id, connectionId, name: '<img src=x onerror=alert(1)>' })
  const browser = await signInTo(server, member, openBrowser(language))
  const open = async (name: string, path: string | URL) => {
    const page = await browser.open(new URL(path, server.issuer))
    keep(language, name, page)
    return page
  }
  await open('account', '/account')
  await open('profile', '/account/profile')
  await open('security', '/account/security')
  await open('unlink', `/account/connections/${connectionId}/unlink`)
  await open('link over', '/link/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')
  await open('callback without a trip', `/connections/${connectionId}/callback?state=x&code=y`)
  const client = await relyingParty(server, await givenClient(server))
  await open('consent', (await begin(client, { scope: 'openid profile email' })).url)
  await open('authorization refused', '/authorize?client_id=nobody')
  const signOut = await open('sign out', client.config.serverMetadata().end_session_endpoint ?? '')
  keep(language, 'signed out', await browser.submit(signOut, '/confirm', { logout: 'yes' }))
}

const each = (check: (page: Page, name: string) => void) => {
  for (const [name, page] of pages) check(page, name)
}

test('every page of the house was visited, and each is one of ours', () => {
  expect(pages.size).toBe(2 * 19)
  each(({ html, status }, name) => {
    expect({ name, ours: html.includes('<html lang="') }).toEqual({ name, ours: true })
    expect({ name, failed: status >= 500 }).toEqual({ name, failed: false })
  })
})

describe('every page', () => {
  test('allows scripts by a nonce of its own alone, and nothing else from anywhere', () => {
    const nonces: string[] = []
    each(({ headers }, name) => {
      const policy = headers.get('content-security-policy') ?? ''
      const directives = Object.fromEntries(policy.split('; ').map((text) => text.split(/ (.*)/, 2)))
      expect({ name, ...directives, 'script-src': '' }).toEqual({
        name,
        'default-src': "'none'",
        'script-src': '',
        'style-src': "'self'",
        'img-src': "'self' data:",
        'connect-src': "'self'",
        'base-uri': "'none'",
        'frame-ancestors': "'none'",
      })
      expect(directives['script-src']).toMatch(/^'nonce-[\w-]{22}'( 'sha256-[\w+/=]+')?$/)
      nonces.push(directives['script-src'] ?? '')
    })
    expect(new Set(nonces).size).toBe(pages.size)
  })

  test('is never shown in a frame, sniffed, kept in a cache or named to where it leads', () => {
    each(({ headers }, name) => {
      const of = (header: string) => headers.get(header)
      expect({
        name,
        frame: of('x-frame-options'),
        type: of('x-content-type-options'),
        referrer: of('referrer-policy'),
        opener: of('cross-origin-opener-policy'),
        cache: /no-store/.test(of('cache-control') ?? ''),
        content: of('content-type')?.toLowerCase(),
      }).toEqual({
        name,
        frame: 'DENY',
        type: 'nosniff',
        referrer: 'no-referrer',
        opener: 'same-origin',
        cache: true,
        content: 'text/html; charset=utf-8',
      })
    })
  })

  test('says which language it is in, and by what that was chosen', () => {
    each(({ headers }, name) => {
      const vary = headers.get('vary')?.toLowerCase().split(/, */) ?? []
      expect({ name, language: headers.get('content-language'), vary }).toEqual({
        name,
        language: name.includes('(ja)') ? 'ja' : 'en',
        vary: expect.arrayContaining(['accept-language', 'cookie']),
      })
    })
  })

  test('holds no style, handler or script of its own, and loads nothing from elsewhere', () => {
    each(({ html, headers }, name) => {
      const nonce = /'nonce-([^']+)'/.exec(headers.get('content-security-policy') ?? '')?.[1]
      const tags = html.match(/<[a-z][^>]*>/gi) ?? []
      const bad = tags.filter(
        (tag) =>
          /^<(style|iframe|object|embed|base)\b/i.test(tag) ||
          /\s(style|on[a-z]+)\s*=/i.test(tag.replace(/"[^"]*"/g, '""')) ||
          /(href|src|action)="\s*(javascript:|vbscript:|data:(?!image\/))/i.test(tag) ||
          (/^<script\b/i.test(tag) && !tag.includes(`nonce="${nonce}"`)) ||
          (/^<(link|script|img)\b/i.test(tag) && /(href|src)="(https?:)?\/\//.test(tag)),
      )
      expect({ name, bad }).toEqual({ name, bad: [] })
    })
  })

  test('shows what somebody typed, or an upstream said, as text', () => {
    each(({ html }, name) => {
      expect({ name, markup: /<b onclick|<img src=x/.test(html) }).toEqual({ name, markup: false })
    })
    expect(pages.get('account (en)')?.html).toContain('&lt;img src=x')
  })

  test('opens other sites in a window that knows nothing of this one', () => {
    each(({ html }, name) => {
      const out = (html.match(/<a\b[^>]*target="_blank"[^>]*>/g) ?? []).filter(
        (tag) => !/rel="[^"]*noopener/.test(tag),
      )
      expect({ name, out }).toEqual({ name, out: [] })
    })
  })
})

test('cookies are for this server alone, and scripts never see them', async () => {
  const page = await openBrowser().request(`${server.issuer}/`)
  const authorization = await openBrowser().request(
    (await begin(await relyingParty(server, await givenClient(server)))).url,
  )
  const cookies = [...page.headers.getSetCookie(), ...authorization.headers.getSetCookie()]
  expect(cookies.length).toBeGreaterThan(3)
  for (const cookie of cookies) {
    expect(cookie).toMatch(/;\s*httponly/i)
    expect(cookie).toMatch(/;\s*samesite=(lax|strict)/i)
    expect(cookie).not.toMatch(/;\s*domain=/i)
  }
})

test('under an https issuer browsers are told to stay with it, and cookies travel by TLS alone', async () => {
  const secure = await startTestApp({ env: { ISSUER: 'https://id.example.com' } })
  const ask = (path: string) => send(secure.issuer + path, { headers: { host: 'id.example.com' } })
  const [home, authorization] = [await ask('/'), await ask('/authorize?client_id=hitotsu-account')]
  await secure.close()
  expect(home.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
  expect(authorization.headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
  const cookies = home.headers['set-cookie'] ?? []
  expect(cookies.length).toBeGreaterThan(0)
  for (const cookie of cookies) expect(cookie).toMatch(/^__Host-.*;\s*path=\/;.*secure/i)
})

test('answers for programs are in no language and set no cookie, so that caches need one copy', async () => {
  const headers = { 'accept-language': 'en', accept: 'application/json' }
  for (const path of ['/.well-known/openid-configuration', '/jwks', '/userinfo', '/livez']) {
    const answer = await send(server.issuer + path, { headers })
    expect([path, answer.headers['content-language'], answer.headers['set-cookie']]).toEqual([
      path,
      undefined,
      undefined,
    ])
    expect([path, answer.headers.vary ?? '']).not.toEqual([path, expect.stringMatching(/cookie|language/i)])
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  }
})

test('answers for programs and the stylesheet carry the same policy', async () => {
  const css = /href="(\/assets\/[^"]+)"/.exec(pages.get('home (en)')?.html ?? '')?.[1] ?? ''
  for (const path of [css, '/livez', '/.well-known/openid-configuration', '/jwks', '/token']) {
    const { headers } = await send(server.issuer + path, { headers: { accept: 'application/json' } })
    expect([path, headers['x-content-type-options'], headers['x-frame-options']]).toEqual([
      path,
      'nosniff',
      'DENY',
    ])
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src; /)
  }
  expect((await send(server.issuer + css)).headers['cache-control']).toContain('immutable')
})
