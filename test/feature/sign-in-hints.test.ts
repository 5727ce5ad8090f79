import * as oidc from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { endSessions } from '../../src/members/member.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser, Page } from '../support/browser.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { catchCallback, visitor } from '../support/linking.ts'
import { type Attempt, begin, type RelyingParty, redeem, relyingParty } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let party: RelyingParty
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  await givenConnection(server, { id: 'switched-off' })
  await inTransaction(server.db, (tx) => disableConnection(tx, 'switched-off', server.now()))
  await givenConnection(server, { id: 'links-only' })
  await server.db.connection.update({ where: { id: 'links-only' }, data: { allowSignIn: false } })
  party = await relyingParty(server, await givenClient(server, { firstParty: true }))
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
  upstream.behavior.decline = false
  upstream.requests.length = 0
})

const note = 'The way to sign in that was asked for is not available.'
const stepOf = ({ url }: Page) => url.pathname.replace(/\/(interaction|link)\/[\w-]+/, '/$1')

async function ask(
  browser: Browser,
  parameters: Record<string, string>,
): Promise<Page & { attempt: Attempt }> {
  browser.stopAt(party.redirectUri)
  const attempt = await begin(party, parameters)
  return { ...(await browser.open(attempt.url)), attempt }
}

/** The request with which the browser leaves for the upstream, not yet sent. */
async function leave(browser: Browser, parameters: Record<string, string> = {}): Promise<URLSearchParams> {
  browser.stopAt(upstream.issuer)
  const { url } = await browser.open((await begin(party, { connection: 'upstream', ...parameters })).url)
  expect(url.origin).toBe(upstream.issuer)
  return url.searchParams
}

/** A member whose account at the upstream is the one that signs in there now. */
async function givenLinkedMember() {
  const member = await givenMember(server)
  await givenIdentity(server, {
    memberId: member.id,
    connectionId: 'upstream',
    subject: upstream.behavior.subject,
  })
  return member
}

async function signIn(
  browser: Browser,
  page: Page,
  { email, password }: { email: string; password: string },
) {
  browser.stopAt(party.redirectUri)
  return browser.submit(page, '/sign-in', { email, password })
}

describe('a connection that cannot be followed shows every other way and a note', () => {
  test.each([
    ['unknown', 'nobody-knows-it'],
    ['switched off', 'switched-off'],
    ['only for links', 'links-only'],
    ['markup', '"><script>alert(1)</script>'],
    ['8 KB', 'a'.repeat(8000)],
    ['written otherwise', 'Upstream'],
  ])('%s', async (_, connection) => {
    const browser = visitor()
    const page = await ask(browser, { connection })
    expect([page.status, stepOf(page)]).toEqual([200, '/interaction/sign-in'])
    expect(page.html).toContain(note)
    expect(page.html).toContain('/connections/upstream"')
    expect(page.html).not.toContain('alert(1)')
    const answer = await signIn(browser, page, await givenMember(server))
    expect((await redeem(party, answer.url, page.attempt)).claims()?.sub).toBeDefined()
  })

  test('a member of whom a fresh proof is asked and who has no account there', async () => {
    const browser = visitor()
    const member = await givenMember(server)
    await signIn(browser, await ask(browser, {}), member)
    const page = await ask(browser, { connection: 'upstream', prompt: 'login' })
    expect(page.html).toContain(note)
    expect(page.html).toContain('Confirm it is you')
  })

  test('a NUL in a pushed request', async () => {
    const { url } = await begin(party, { connection: 'up\0stream' })
    const pushed = await oidc.buildAuthorizationUrlWithPAR(party.config, url.searchParams)
    expect((await visitor().open(pushed)).html).toContain(note)
  })

  test('one that is sent twice is refused', async () => {
    const { url } = await begin(party, { connection: 'upstream' })
    url.searchParams.append('connection', 'upstream')
    const browser = visitor()
    browser.stopAt(party.redirectUri)
    expect((await browser.open(url)).url.searchParams.get('error')).toBe('invalid_request')
  })
})

describe('with a session, or without a page, it changes nothing', () => {
  test.each(['upstream', 'nobody-knows-it'])('prompt=none and connection=%s', async (connection) => {
    const browser = visitor()
    const silent = await ask(browser, { connection, prompt: 'none' })
    expect(silent.url.searchParams.get('error')).toBe('login_required')
    await signIn(browser, await ask(browser, {}), await givenMember(server))
    expect((await ask(browser, { connection, prompt: 'none' })).url.searchParams.has('code')).toBe(true)
  })

  test('who is signed in goes on as that', async () => {
    const browser = visitor()
    await signIn(browser, await ask(browser, {}), await givenMember(server))
    expect((await ask(browser, { connection: 'upstream' })).url.searchParams.has('code')).toBe(true)
    expect(upstream.requests).not.toContain('/auth')
  })
})

describe('a connection that can be used is gone to at once', () => {
  test('by redirects with 303 and no page, and it is told nothing of the request but the language', async () => {
    const hints = { login_hint: 'hana@example.com', acr_values: 'urn:example:gold', ui_locales: 'fr ja' }
    const { url } = await begin(party, { connection: 'upstream', display: 'popup', ...hints })
    const browser = visitor()
    const first = await browser.request(url)
    const second = await browser.request(new URL(first.headers.get('location') ?? '', url))
    expect([first.status, second.status]).toEqual([303, 303])
    const sent = new URL(second.headers.get('location') ?? '').searchParams
    expect([...sent.keys()].sort()).toEqual(
      'client_id code_challenge code_challenge_method nonce redirect_uri response_type scope state ui_locales'.split(
        ' ',
      ),
    )
    expect(sent.get('ui_locales')).toBe('ja')
  })

  test('a linked account brings the code without a page of ours, and the token says how', async () => {
    const member = await givenLinkedMember()
    const page = await ask(visitor(), { connection: 'upstream', acr_values: 'urn:hitotsu:acr:1fa' })
    const claims = (await redeem(party, page.url, page.attempt)).claims()
    expect([claims?.sub, claims?.acr]).toEqual([member.id, 'urn:hitotsu:acr:federated'])
  })

  test('an unknown account becomes a member on the way', async () => {
    expect(stepOf(await ask(visitor(), { connection: 'upstream' }))).toBe('/interaction/sign-up')
  })

  test('also by who comes to sign up, and from a pushed request', async () => {
    await leave(visitor(), { prompt: 'create' })
    const { url } = await begin(party, { connection: 'upstream' })
    const browser = visitor()
    browser.stopAt(upstream.issuer)
    const pushed = await oidc.buildAuthorizationUrlWithPAR(party.config, url.searchParams)
    expect((await browser.open(pushed)).url.origin).toBe(upstream.issuer)
  })
})

describe('it is gone to once', () => {
  test('who declines there finds every way on our page, reloads it, and goes another way', async () => {
    upstream.behavior.decline = true
    const browser = visitor()
    const page = await ask(browser, { connection: 'upstream' })
    expect(stepOf(page)).toBe('/interaction/sign-in')
    expect(page.html).toContain('was canceled')
    expect(page.html).toContain('/connections/upstream"')

    const dispatcher = new URL(page.url.pathname.replace('/sign-in', ''), server.issuer)
    const again = await browser.open(dispatcher)
    expect(stepOf(again)).toBe('/interaction/sign-in')
    expect(upstream.requests.filter((path) => path === '/auth')).toHaveLength(1)
    const answer = await signIn(browser, again, await givenMember(server))
    expect((await redeem(party, answer.url, page.attempt)).claims()?.sub).toBeDefined()
  })

  test.each(['server_error', 'login_required', 'temporarily_unavailable'])(
    'an upstream that answers %s leads to our page',
    async (error) => {
      const browser = visitor()
      const callback = await catchCallback(server, browser, 'upstream', async () =>
        browser.open((await begin(party, { connection: 'upstream' })).url),
      )
      for (const name of ['code', 'scope']) callback.searchParams.delete(name)
      callback.searchParams.set('error', error)
      const page = await browser.open(callback)
      expect(stepOf(page)).toBe('/interaction/sign-in')
      expect(page.html).toContain('We could not confirm you')
    },
  )

  test('an upstream that does not answer leads to our page', async () => {
    await givenConnection(server, { id: 'silent', issuer: 'http://127.0.0.1:9' })
    server.privateHosts.push('127.0.0.1:9')
    const page = await ask(visitor(), { connection: 'silent' })
    expect(stepOf(page)).toBe('/interaction/sign-in')
    expect(page.html).toContain('We could not confirm you')
  })

  test('who is signed out on the way back finds our page', async () => {
    const { id } = await givenLinkedMember()
    const browser = visitor()
    browser.stopAt(`${server.issuer}/authorize/`)
    const { url } = await browser.open((await begin(party, { connection: 'upstream' })).url)
    server.advance(5)
    await inTransaction(server.db, (tx) => endSessions(tx, id, 'member', server.now()))
    browser.stopAt(party.redirectUri)
    expect(stepOf(await browser.open(url))).toBe('/interaction/sign-in')
  })

  test('an acr that the upstream cannot give ends the request', async () => {
    await givenLinkedMember()
    const acr = { essential: true, values: ['urn:hitotsu:acr:1fa'] }
    const page = await ask(visitor(), {
      connection: 'upstream',
      claims: JSON.stringify({ id_token: { acr } }),
    })
    expect(page.url.searchParams.get('error')).toBe('unmet_authentication_requirements')
    expect(upstream.requests.filter((path) => path === '/auth')).toHaveLength(1)
  })
})

describe('a proof that has to be fresh is fresh at the upstream', () => {
  test.each<[Record<string, string>]>([[{ prompt: 'login' }], [{ max_age: '0' }], [{ max_age: '600' }]])(
    '%j without a session',
    async (parameters) => {
      const sent = await leave(visitor(), parameters)
      expect([sent.get('prompt'), sent.get('max_age')]).toEqual(['login', '0'])
    },
  )

  test('prompt=login with a session of a member who has an account there', async () => {
    const member = await givenLinkedMember()
    const browser = visitor()
    await signIn(browser, await ask(browser, {}), member)
    const sent = await leave(browser, { prompt: 'login' })
    expect([sent.get('prompt'), sent.get('max_age')]).toEqual(['login', '0'])
  })

  test('a request that says nothing of it leaves that to the upstream', async () => {
    const sent = await leave(visitor())
    expect([sent.get('prompt'), sent.get('max_age')]).toEqual([null, null])
  })
})

test('the language asked for holds from page to page, through an upstream, to the agreement', async () => {
  const languageOf = ({ html }: Page) => /<html lang="(\w+)"/.exec(html)?.[1]
  const member = await givenMember(server)
  upstream.behavior.claims = { name: 'Hana', email: member.email }
  const browser = visitor('en')
  const page = await ask(browser, { connection: 'upstream', ui_locales: 'ja' })
  const wrong = await browser.submit(page, '/sign-in', { email: member.email, password: 'not this one' })
  const link = await signIn(browser, wrong, member)
  expect(stepOf(link)).toBe('/link')
  expect([page, wrong, link].map(languageOf)).toEqual(['ja', 'ja', 'ja'])
})
