import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Auth, type AuthConfig } from '@auth/core'
import type { OIDCConfig } from '@auth/core/providers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { signInFrom } from './at-hitotsu.ts'

let server: TestApp
let shop: Server
let origin: string
const logged: Error[] = []
const providers: OIDCConfig<Record<string, unknown>>[] = []

beforeAll(async () => {
  server = await startTestApp()
  shop = createServer(async (request, response) => {
    const answer = await Auth(
      new Request(new URL(request.url ?? '/', origin), {
        method: request.method ?? 'GET',
        headers: request.headers as Record<string, string>,
        ...(request.method === 'POST' && { body: await text(request) }),
      }),
      configuration(),
    )
    response
      .setHeaders(answer.headers)
      .writeHead(answer.status)
      .end(await answer.text())
  }).listen(0, '127.0.0.1')
  await once(shop, 'listening')
  origin = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`
  await register('shop')
  await register('mistaken', 'the secret of another client')
})
afterAll(async () => {
  shop.close()
  shop.closeAllConnections()
  await server.close()
})

/** A provider as its documentation says: the issuer, and what was registered there. */
async function register(id: string, clientSecret?: string): Promise<void> {
  const client = await givenClient(server, {
    id,
    redirectUris: [`${origin}/auth/callback/${id}`],
    postLogoutRedirectUris: [`${origin}/auth/signin`],
  })
  providers.push({
    id,
    name: id,
    type: 'oidc',
    issuer: server.issuer,
    clientId: client.id,
    clientSecret: clientSecret ?? client.secret,
    checks: ['pkce', 'state', 'nonce'],
    idToken: false,
  })
}

const configuration = (): AuthConfig => ({
  basePath: '/auth',
  trustHost: true,
  secret: 'a secret of the shop, long enough for everybody',
  providers,
  logger: { error: (error) => void logged.push(error) },
  callbacks: {
    jwt: ({ token, account }) =>
      account ? { ...token, memberId: account.providerAccountId, idToken: account.id_token } : token,
    session: ({ session, token: { memberId, idToken } }) => ({ ...session, memberId, idToken }),
  },
})

/** Presses the button on its own sign-in page, and signs in here. */
async function begin(browser: Browser, member: GivenMember, id = 'shop'): Promise<Page> {
  const start = await browser.open(`${origin}/auth/signin`)
  return signInFrom(browser, browser.submit(start, `/auth/signin/${id}`), member)
}

const sessionOf = async (browser: Browser) => JSON.parse((await browser.open(`${origin}/auth/session`)).html)

test('a wrong secret ends on its error page', async () => {
  const browser = openBrowser()
  const page = await browser.submit(await begin(browser, await givenMember(server), 'mistaken'), '/consent')
  expect(page.url.href).toBe(`${origin}/auth/error?error=Configuration`)
  expect(logged.at(-1)).toMatchObject({ cause: { provider: 'mistaken', err: { status: 401 } } })
  expect(await sessionOf(browser)).toBeNull()
})

test('who declines at the consent page ends on its sign-in page, with an error', async () => {
  const browser = openBrowser()
  const consent = await begin(browser, await givenMember(server))
  browser.stopAt(`${origin}/auth/callback`)
  const { url } = await browser.submit(consent, '/cancel')
  expect(url.searchParams.get('error')).toBe('access_denied')
  browser.stopAt(undefined)
  expect((await browser.open(url)).url.href).toBe(`${origin}/auth/signin?error=OAuthCallbackError`)
  expect(await sessionOf(browser)).toBeNull()
})

test('an answer to a request of another browser is not taken', async () => {
  const [browser, other] = [openBrowser(), openBrowser()]
  const consent = await begin(browser, await givenMember(server))
  browser.stopAt(`${origin}/auth/callback`)
  const { url } = await browser.submit(consent, '/consent')
  await begin(other, await givenMember(server))
  expect((await other.open(url)).url.pathname).toBe('/auth/error')
  expect(await sessionOf(other)).toBeNull()
  browser.stopAt(undefined)
  await browser.open(url)
  expect(await sessionOf(browser)).not.toBeNull()
})

test('signs in with PKCE, state, nonce and userinfo, and out at both', async () => {
  const [browser, member] = [openBrowser(), await givenMember(server)]
  await browser.submit(await begin(browser, member), '/consent')
  const { user, memberId, idToken } = await sessionOf(browser)
  expect(memberId).toBe(member.id)
  expect(user).toMatchObject({ name: member.name, email: member.email })

  await browser.submit(await browser.open(`${origin}/auth/signout`), '/auth/signout')
  expect(await sessionOf(browser)).toBeNull()
  const demand = { id_token_hint: idToken, post_logout_redirect_uri: `${origin}/auth/signin` }
  const question = await browser.open(`${server.issuer}/sign-out?${new URLSearchParams(demand)}`)
  const page = await browser.submit(question, '/sign-out/confirm', { logout: 'yes' })
  expect(page.url.href).toBe(`${origin}/auth/signin`)
  expect((await browser.open(`${server.issuer}/account`)).url.pathname).toMatch(/\/sign-in$/)
})
