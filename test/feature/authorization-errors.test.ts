import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser, type Page } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let party: RelyingParty
const clientUri = 'https://shop.example.com/'
beforeAll(async () => {
  server = await startTestApp({ inProcessStore: true })
  const redirectUris = ['https://shop.example.com/callback', 'https://shop.example.com/app/back?via=app']
  const name = { ja: '青い店', en: 'The Blue Shop' }
  party = await relyingParty(server, await givenClient(server, { clientUri, redirectUris, name }))
})
afterAll(() => server.close())

async function ask(parameters: Record<string, string>, language = 'en', from = party): Promise<Page> {
  const browser = openBrowser(language)
  browser.stopAt(from.redirectUri)
  return browser.open((await begin(from, parameters)).url)
}

/** A page that a person can read and that repeats nothing of the request but what `shown` holds. */
function expectErrorPage(page: Page, shown = /^$/g): void {
  const { headers, status } = page
  expect([status, headers.get('content-type')]).toEqual([400, 'text/html; charset=utf-8'])
  expect(headers.get('cache-control')).toContain('no-store')
  // Where the switch of languages leads back to is the address itself, as the browser wrote it.
  const html = page.html.replace(/name="return_to" value="[^"]*"/, '').replaceAll(shown, '')
  expect(html).toContain('<meta name="robots" content="noindex">')
  expect(html).toContain(`<code>${headers.get('x-request-id')}</code>`)
  expect(html).not.toMatch(/evil|alert\(|aaaaa|\p{Cf}|[^\P{Cc}\n]/u)
}

const backLink = `<a class="button button--primary button--wide" href="${clientUri}">`
const codesIn = ({ html }: Page) => [...html.matchAll(/<dd><code>([^<]*)<\/code>/g)].map(([, text]) => text)

describe('a redirect_uri that is not registered', () => {
  test.each([
    ['another host', 'https://other.example.org/a', 'other.example.org/a', 'The host is not one'],
    ['http', 'http://shop.example.com/callback', 'shop.example.com/callback', 'The scheme differs'],
    ['a slash', 'https://shop.example.com/callback/', 'shop.example.com/callback/', 'The slash at the end'],
    ['a query', 'https://shop.example.com/callback?a=b', 'shop.example.com/callback', 'The query differs'],
    ['credentials', 'https://a:b@shop.example.com/x#c', 'shop.example.com/x', 'The path differs'],
  ])('%s: the developer sees what was received and what is registered', async (_, uri, received, rule) => {
    const page = await ask({ redirect_uri: uri })
    expectErrorPage(page)
    expect(page.html).toContain('<details class="fold">')
    expect(page.html).toContain(rule)
    const registered = ['shop.example.com/callback', 'shop.example.com/app/back']
    expect(codesIn(page)).toEqual(expect.arrayContaining([received, ...registered, party.id]))
    expect(page.html).not.toContain(uri)
    expect(page.html).not.toMatch(/via=app|a:b@/)
  })

  test.each([
    ['markup', 'https://evil.example/"><script>alert(1)</script>'],
    ['a script', 'javascript:alert(1)'],
    ['a document', 'data:text/html,<script>alert(1)</script>'],
    ['text that turns', 'https://other.example.org/\u202egnp.exe'],
    ['letters that look alike', 'https://\u0435vil.example/'],
    ['control characters', 'https://other.example.org/\u0001\u0085'],
    ['8 KB', `https://other.example.org/${'a'.repeat(8000)}`],
    ['no address', '"><img src=x onerror=alert(1)>'],
  ])('%s is shown harmlessly or not at all, and never a link', async (_, uri) => {
    const page = await ask({ redirect_uri: uri })
    expect([...page.html.matchAll(/href="(https?:[^"]*)"/g)].map(([, href]) => href)).toEqual([clientUri])
    expectErrorPage(page, /<code>(?:evil\.example|javascript:alert|data:text|other\.example)[^<]*<\/code>/g)
  })

  test.each([
    ['en', 'We cannot take you back', 'Back to The Blue Shop'],
    ['ja', 'もとのサービスに戻れません', '青い店へ戻る'],
  ])('a member is told in %s where to go back to', async (language, title, back) => {
    const page = await ask({ redirect_uri: 'https://other.example.org/' }, language)
    expect(page.html).toContain(title)
    expect(page.html).toContain(`${backLink}${back}</a>`)
  })

  test('without a home page of the relying party there is its name and no link', async () => {
    const homeless = await relyingParty(server, await givenClient(server))
    const page = await ask({ redirect_uri: 'https://other.example.org/' }, 'en', homeless)
    expectErrorPage(page)
    expect(page.html).toContain(`You came from “Shop ${homeless.id}”.`)
    expect(page.html).not.toMatch(/href="https?:/)
  })

  test('programs get the same as a document', async () => {
    const { url } = await begin(party, { redirect_uri: 'https://other.example.org/callback?code=1' })
    const response = await fetch(url, { headers: { accept: 'application/json' } })
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect([response.status, response.headers.get('cache-control')]).toEqual([400, 'no-store'])
    expect(await response.json()).toMatchObject({
      status: 400,
      code: 'redirect_uri_mismatch',
      error: 'invalid_redirect_uri',
      requestId: response.headers.get('x-request-id'),
      redirect: {
        rule: 'host',
        received: 'other.example.org/callback',
        registered: ['shop.example.com/callback', 'shop.example.com/app/back'],
      },
    })
  })

  test('none at all, or two, is told with those that are registered', async () => {
    const { url } = await begin(party, { redirect_uri: '' })
    expect((await ask({ redirect_uri: '' })).html).toContain('no single redirect_uri')
    for (const _ of [1, 2]) url.searchParams.append('redirect_uri', party.redirectUri)
    const page = await openBrowser().open(url)
    expectErrorPage(page)
    expect(codesIn(page)).toContain('shop.example.com/callback')
  })

  test('is the answer whatever else is wrong with the request', async () => {
    const page = await ask({
      redirect_uri: 'https://other.example.org/',
      response_type: '',
      scope: 'nonsense',
    })
    expectErrorPage(page)
    expect(page.html).toContain('invalid_redirect_uri')
  })
})

describe('a client that', () => {
  test.each([
    ['is unknown', 'nobody', '<code>nobody</code>'],
    ['is markup', '<b>evil</b>', ''],
    ['is text that turns', 'a\u202eb', '<code>a?b</code>'],
    ['is 8 KB', 'a'.repeat(8000), `<code>${'a'.repeat(64)}...</code>`],
  ])('%s gets a page with no more than a short form of it', async (_, id, shown) => {
    const page = await openBrowser().open(`${server.issuer}/authorize?client_id=${encodeURIComponent(id)}`)
    expectErrorPage(page, /<code>(?:&lt;b&gt;evil&lt;\/b&gt;|a{64}\.{3})<\/code>/g)
    expect(page.html).toContain('This service is not available')
    expect(page.html).toContain(shown)
  })

  test('is missing gets a page', async () => {
    expectErrorPage(await openBrowser().open(`${server.issuer}/authorize`))
  })

  test('was disabled gets a page that names it and leads to it', async () => {
    const client = await relyingParty(server, await givenClient(server, { clientUri }))
    await inTransaction(server.db, (tx) => disableClient(tx, client.id, server.now()))
    const page = await ask({}, 'en', client)
    expectErrorPage(page)
    expect(page.html).toContain('Signing in is switched off')
    expect(page.html).toContain(`${backLink}Back to Shop ${client.id}</a>`)
  })
})

describe('a request that came another way', () => {
  async function push(): Promise<URL> {
    const { url } = await begin(party)
    return oidc.buildAuthorizationUrlWithPAR(party.config, url.searchParams)
  }

  test.each<[string, (url: URL) => Promise<URL> | URL]>([
    [
      'nobody pushed',
      (url) => {
        url.searchParams.set('request_uri', 'urn:ietf:params:oauth:request_uri:nothing')
        return url
      },
    ],
    [
      'is over',
      (url) => {
        server.advance(120)
        return url
      },
    ],
    [
      'was used',
      async (url) => {
        const browser = openBrowser()
        browser.stopAt(party.redirectUri)
        const { email, password } = await givenMember(server)
        const consent = await browser.submit(await browser.open(url), '/sign-in', { email, password })
        expect((await browser.submit(consent, '/consent')).url.searchParams.has('code')).toBe(true)
        return url
      },
    ],
  ])('and that %s gets a page that says so', async (_, change) => {
    const page = await openBrowser().open(await change(await push()))
    expectErrorPage(page)
    expect(page.html).toContain('This sign-in is over')
    expect(page.html).toContain(backLink)
  })

  test('and that another client pushed is refused to the one that sent it, where that is registered', async () => {
    const stranger = await givenClient(server)
    const url = await push()
    url.searchParams.set('client_id', stranger.id)
    const browser = openBrowser()
    browser.stopAt('https://')
    const { searchParams, href } = (await browser.open(url)).url
    expect(href.startsWith(stranger.redirectUri)).toBe(true)
    expect([searchParams.get('error'), searchParams.has('code')]).toEqual(['invalid_request_object', false])
  })

  test('and whose signed object names an address that is not registered is told as any other', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const client = await givenClient(server, {
      authMethod: 'private_key_jwt',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] },
    })
    const claims = { iss: client.id, aud: server.issuer, client_id: client.id, response_type: 'code' }
    const redirect = { redirect_uri: `${client.redirectUri}/`, ui_locales: 'ja' }
    const request = await new SignJWT({ ...claims, ...redirect })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(privateKey)
    const parameters = new URLSearchParams({ client_id: client.id, request })
    const page = await openBrowser().open(`${server.issuer}/authorize?${parameters}`)
    expectErrorPage(page)
    expect(page.html).toContain('末尾のスラッシュの有無が違います。')
  })

  test.each(['not.a.jwt', 'eyJhbGciOiJub25lIn0.e30.', '<script>alert(1)</script>'])(
    'and whose object is %s gets a page',
    async (request) => {
      const parameters = new URLSearchParams({ client_id: party.id, request })
      expectErrorPage(await openBrowser().open(`${server.issuer}/authorize?${parameters}`))
    },
  )
})

describe('an interaction that', () => {
  test('belongs to another browser, or to none', async () => {
    const { url } = await ask({})
    const elsewhere = openBrowser()
    for (const path of [url.pathname, `/authorize/${url.pathname.split('/')[2]}`]) {
      const page = await elsewhere.open(server.issuer + path)
      expectErrorPage(page)
      expect(page.html).toContain('go back to the service you came from')
    }
  })

  test('ends because the browser was signed out meanwhile leads to the relying party', async () => {
    const browser = openBrowser()
    const { email, password } = await givenMember(server)
    await browser.submit(await browser.open(`${server.issuer}/account`), '/sign-in', { email, password })
    const page = await browser.open((await begin(party, { prompt: 'login' })).url)
    browser.stopAt(`${server.issuer}/authorize/`)
    const { url } = await browser.submit(page, '/sign-in', { email, password })
    browser.stopAt(undefined)
    const account = await browser.open(`${server.issuer}/account`)
    const confirm = await browser.submit(account, '/account/sign-out')
    await browser.submit(confirm, '/sign-out/confirm', { logout: 'yes' })
    const over = await browser.open(url)
    expectErrorPage(over)
    expect(over.html).toContain(`${backLink}Back to The Blue Shop</a>`)
  })

  test('is over by time', async () => {
    const browser = openBrowser()
    const page = await browser.open((await begin(party)).url)
    server.advance(2 * 3600)
    const over = await browser.submit(page, '/sign-in', { email: 'hana@example.com', password: 'any' })
    expectErrorPage(over)
    expect(over.html).toContain('This step is over')
  })
})

test('the log names the fault and the client, by the request id that the page shows', async () => {
  const page = await ask({ redirect_uri: 'https://shop.example.com/wrong' })
  const id = page.headers.get('x-request-id')
  const lines = server
    .logged()
    .split('\n')
    .filter((line) => line.includes(`"${id}"`))
  expect(lines.join('\n')).toContain('"rule":"path"')
  expect(lines.join('\n')).toContain(`"clientId":"${party.id}"`)
})
