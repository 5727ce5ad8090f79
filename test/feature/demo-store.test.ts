import { once } from 'node:events'
import { createServer } from 'node:net'
import AxeBuilder from '@axe-core/playwright'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Store, startStore } from '../../src/demo/store/store.ts'
import { createVisitor, type Visitor } from '../support/demo-visitor.ts'
import { startUpstreamProvider, type UpstreamProvider } from '../support/upstream-provider.ts'

const line = {
  connection: 'line',
  issuer: 'https://access.line.me',
  subject: 'U4af49806',
  linked_at: 1_795_200_000,
}
const claims = { name: '会員 一郎', email: 'member@example.com', linked_accounts: [line] }

let store: Store
let issuer: UpstreamProvider

beforeEach(async () => {
  const port = await reservePort()
  store = await startStore({
    port: 0,
    issuer: `http://127.0.0.1:${port}`,
    clientId: 'ec-store',
    clientSecret: 'shared with the issuer',
    upstreamClient: {
      clientId: 'unused',
      clientSecret: 'unused',
      redirectUris: ['https://id.example.com/cb'],
    },
  })
  issuer = await startIssuer(port)
})

afterEach(async () => {
  await Promise.all([store.close(), issuer.close()])
})

/** Store and issuer must know each other's address before either listens. */
async function reservePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 0
}

function startIssuer(port: number): Promise<UpstreamProvider> {
  return startUpstreamProvider({
    port,
    behavior: { claims },
    clients: [
      {
        client_id: 'ec-store',
        client_secret: 'shared with the issuer',
        redirect_uris: [`${store.url}/callback`],
        post_logout_redirect_uris: [`${store.url}/signed-out`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
  })
}

async function signedInVisitor(language?: string): Promise<Visitor> {
  const visitor = createVisitor(language)
  const page = await visitor.open(`${store.url}/sign-in`)
  expect(page.url.href).toBe(`${store.url}/account`)
  return visitor
}

describe('signing in with the member ID, when it does not work', () => {
  test('an answer this browser never asked for is refused', async () => {
    const answer = await createVisitor().open(`${store.url}/callback?code=stolen&state=unknown`)
    expect([answer.status, answer.html]).toEqual([400, expect.stringContaining('no longer valid')])
  })

  test('an answer is taken once', async () => {
    const visitor = await signedInVisitor()
    const [callback = ''] = visitor.visited().filter((url) => url.includes('/callback?'))
    expect((await visitor.open(callback)).status).toBe(400)
  })

  test('RFC 9207 section 2.4: an answer that names another issuer is refused', async () => {
    const visitor = createVisitor()
    const pending = await visitor.open(`${store.url}/sign-in`, { stopAt: '/auth' })
    const state = pending.url.searchParams.get('state')
    const query = new URLSearchParams({ code: 'a code', state: String(state), iss: 'https://evil.example' })
    expect((await visitor.open(`${store.url}/callback?${query}`)).status).toBe(502)
  })

  test('a member who declines finds a way on', async () => {
    issuer.behavior.decline = true
    const page = await createVisitor().open(`${store.url}/sign-in`)
    expect(page.html).toContain('You did not sign in')
    expect(page.html).toContain('access_denied: the member declined')
    expect(page.html).toContain('href="/sign-in"')
  })

  test('an issuer that starts later is found at the next attempt', async () => {
    await issuer.close()
    const visitor = createVisitor()
    const early = await visitor.open(`${store.url}/sign-in`)
    expect([early.status, early.html]).toEqual([503, expect.stringContaining('does not answer')])
    issuer = await startIssuer(Number(new URL(issuer.issuer).port))
    expect((await visitor.open(`${store.url}/sign-in`)).url.pathname).toBe('/account')
  })

  test('sign-in never ends on another site', async () => {
    const page = await createVisitor().open(`${store.url}/sign-in?return_to=//evil.example/`)
    expect(page.url.href).toBe(`${store.url}/account`)
  })

  test('a permission that was taken back ends in a sign-out, not in an error', async () => {
    const visitor = await signedInVisitor()
    await issuer.revokeEverything()
    const account = await visitor.open(`${store.url}/account`)
    const page = await visitor.press(account, '/account/refresh')
    expect(page.html).toContain('This store may no longer ask about you')
    expect((await visitor.open(store.url)).html).not.toContain('href="/account"')
  })
})

describe('signing in with the member ID', () => {
  test('the request is a code flow with PKCE, a nonce and every scope the page needs', async () => {
    const { url } = await createVisitor().open(`${store.url}/sign-in`, { stopAt: '/auth' })
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      scope: 'openid profile email offline_access linked_accounts',
      prompt: 'consent',
      code_challenge_method: 'S256',
      nonce: expect.any(String),
      state: expect.any(String),
    })
  })

  test('the session gets a new id, and keeps its cart', async () => {
    const visitor = createVisitor()
    const product = await visitor.open(`${store.url}/products/mug`)
    await visitor.press(product, '/cart/add', { product: 'mug', quantity: '2' })
    const before = visitor.cookie('demo_store_session')
    const checkout = await visitor.open(`${store.url}/checkout`)
    expect(checkout.url.pathname).toBe('/checkout')
    expect(checkout.html).toContain('¥5,600')
    expect(visitor.cookie('demo_store_session')).not.toBe(before)
  })

  test.each([
    ['en', ['Linked accounts', 'ID token', 'Nov 20, 2026']],
    ['ja', ['連携中のアカウント', 'IDトークン', '2026/11/20']],
  ])('the page shows the member ID and the linked accounts (%s)', async (language, words) => {
    const page = await (await signedInVisitor(language)).open(`${store.url}/account`)
    for (const text of ['member-1', '会員 一郎', 'U4af49806', ...words]) expect(page.html).toContain(text)
  })

  test('refreshing shows what was linked since', async () => {
    const visitor = await signedInVisitor()
    const added = { ...line, connection: 'ec', subject: 'ec-1001' }
    issuer.behavior.claims = { ...claims, linked_accounts: [line, added] }
    const page = await visitor.press(await visitor.open(`${store.url}/account`), '/account/refresh')
    expect(page.html).toContain('ec-1001')
  })

  test('signing out forgets the member here', async () => {
    const visitor = await signedInVisitor()
    const account = await visitor.open(`${store.url}/account`)
    expect((await visitor.press(account, '/sign-out')).url.pathname).toBe('/signed-out')
    expect((await visitor.open(store.url)).html).not.toContain('href="/account"')
  })

  test('signing out everywhere asks the issuer, with the way back', async () => {
    const visitor = await signedInVisitor()
    const account = await visitor.open(`${store.url}/account`)
    const { url } = await visitor.press(account, '/sign-out/everywhere')
    expect(`${url.origin}${url.pathname}`).toBe(`${issuer.issuer}/session/end`)
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${store.url}/signed-out`)
    expect(url.searchParams.get('id_token_hint')).toBeTruthy()
  })
})

describe('the pages in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())

  test.each(['light', 'dark'] as const)(
    'axe finds nothing and nothing overflows 360 px (%s)',
    async (colorScheme) => {
      const context = await browser.newContext({ colorScheme, viewport: { width: 360, height: 800 } })
      const page = await context.newPage()
      const faults: unknown[] = []
      for (const path of ['/', '/products/lamp', '/cart', '/sign-in', '/store-account/sign-up', '/nowhere']) {
        await page.goto(`${store.url}${path}`)
        const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze()
        faults.push(...violations.map((violation) => [path, violation.id]))
        const width = await page.evaluate(() => document.documentElement.scrollWidth)
        if (width > 360) faults.push([path, `${width} px wide`])
      }
      await context.close()
      expect(faults).toEqual([])
    },
  )
})
