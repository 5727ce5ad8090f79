import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Express as Application, type ErrorRequestHandler } from 'express'
import session from 'express-session'
import passport from 'passport'
import OpenIDConnectStrategy from 'passport-openidconnect'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { signInFrom } from './at-hitotsu.ts'

const passports = new passport.Passport()
let server: TestApp
let shop: Server
let origin: string
let endSessionEndpoint: string

beforeAll(async () => {
  server = await startTestApp()
  shop = application().listen(0, '127.0.0.1')
  await once(shop, 'listening')
  origin = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`
  await register('shop', { requirePkce: false })
  await register('unready', {})
  await register('mistaken', { requirePkce: false }, 'the secret of another client')
})
afterAll(async () => {
  shop.close()
  shop.closeAllConnections()
  await server.close()
})

/** The library does neither discovery nor PKCE, and sends its secret in the form. */
async function register(name: string, input: { requirePkce?: boolean }, secret?: string): Promise<void> {
  const client = await givenClient(server, {
    id: name,
    authMethod: 'client_secret_post',
    redirectUris: [`${origin}/callback/${name}`],
    postLogoutRedirectUris: [`${origin}/bye`],
    ...input,
  })
  const discovery = await fetch(`${server.issuer}/.well-known/openid-configuration`)
  const metadata = (await discovery.json()) as Record<string, string>
  endSessionEndpoint = metadata.end_session_endpoint ?? ''
  const options = {
    issuer: metadata.issuer ?? '',
    authorizationURL: metadata.authorization_endpoint ?? '',
    tokenURL: metadata.token_endpoint ?? '',
    userInfoURL: metadata.userinfo_endpoint ?? '',
    clientID: client.id,
    clientSecret: secret ?? client.secret,
    callbackURL: client.redirectUri,
    scope: 'profile email',
    nonce: 'yes',
    skipUserProfile: false,
  }
  const verify: OpenIDConnectStrategy.VerifyFunction = (
    issuer: string,
    profile: passport.Profile,
    _context: object,
    idToken: string | object,
    done: OpenIDConnectStrategy.VerifyCallback,
  ) => done(null, { issuer, profile, idToken })
  passports.use(name, new OpenIDConnectStrategy(options, verify))
}

/** A shop as the library's own documentation has it. */
function application(): Application {
  const app = express()
  app.use(session({ secret: 'a secret of the shop', resave: false, saveUninitialized: false }))
  app.use(passports.session())
  passports.serializeUser((user, done) => done(null, user))
  passports.deserializeUser((user: Express.User, done) => done(null, user))
  app.get('/', (request, response) => void response.json(request.user ?? 'nobody'))
  app.get('/bye', (_request, response) => void response.json('bye'))
  app.get('/refused', (request, response) => {
    response.json((request.session as { messages?: string[] }).messages)
  })
  app.get('/sign-in/:name', (request, ...rest) =>
    passports.authenticate(request.params.name)(request, ...rest),
  )
  app.get('/callback/:name', (request, ...rest) =>
    passports.authenticate(request.params.name, {
      successRedirect: '/',
      failureRedirect: '/refused',
      failureMessage: true,
    })(request, ...rest),
  )
  app.get('/sign-out', (request, response, next) => {
    const { idToken: hint } = request.user as { idToken: string }
    request.logout((error) => {
      if (error) return next(error)
      const demand = { id_token_hint: hint, post_logout_redirect_uri: `${origin}/bye` }
      response.redirect(`${endSessionEndpoint}?${new URLSearchParams(demand)}`)
    })
  })
  const showError: ErrorRequestHandler = ({ name, code, message }, _request, response, _next) =>
    void response.status(500).json({ name, code, message })
  return app.use(showError)
}

const shown = ({ html }: { html: string }) => JSON.parse(html)

test('without PKCE it is sent back with the reason, unless it was let go without', async () => {
  const page = await openBrowser().open(`${origin}/sign-in/unready`)
  expect(shown(page)).toEqual({
    name: 'AuthorizationError',
    code: 'invalid_request',
    message: expect.stringMatching(/PKCE/),
  })
})

test('a wrong secret is an invalid_client', async () => {
  const browser = openBrowser()
  const consent = await signInFrom(browser, `${origin}/sign-in/mistaken`, await givenMember(server))
  expect(shown(await browser.submit(consent, '/consent'))).toMatchObject({
    name: 'TokenError',
    code: 'invalid_client',
  })
})

test('who declines at the consent page comes back as nobody', async () => {
  const browser = openBrowser()
  const consent = await signInFrom(browser, `${origin}/sign-in/shop`, await givenMember(server))
  const page = await browser.submit(consent, '/cancel')
  expect([page.url.pathname, shown(page)]).toEqual(['/refused', [expect.any(String)]])
  expect(shown(await browser.open(origin))).toBe('nobody')
})

test('an answer to a request of another browser is not taken', async () => {
  const [browser, other] = [openBrowser(), openBrowser()]
  const consent = await signInFrom(browser, `${origin}/sign-in/shop`, await givenMember(server))
  browser.stopAt(`${origin}/callback`)
  const { url } = await browser.submit(consent, '/consent')
  other.stopAt(server.issuer)
  await other.open(`${origin}/sign-in/shop`)
  expect(shown(await other.open(url))).toEqual(['Invalid authorization request state.'])
  browser.stopAt(undefined)
  expect((await browser.open(url)).url.pathname).toBe('/')
})

test('signs in with nonce and userinfo, and out at both', async () => {
  const [browser, member] = [openBrowser(), await givenMember(server)]
  const consent = await signInFrom(browser, `${origin}/sign-in/shop`, member)
  const page = await browser.submit(consent, '/consent')
  expect(page.url.href).toBe(`${origin}/`)
  expect(shown(page)).toMatchObject({
    issuer: server.issuer,
    profile: { id: member.id, displayName: member.name, emails: [{ value: member.email }] },
  })

  const question = await browser.open(`${origin}/sign-out`)
  const bye = await browser.submit(question, '/sign-out/confirm', { logout: 'yes' })
  expect(bye.url.href).toBe(`${origin}/bye`)
  expect(shown(await browser.open(origin))).toBe('nobody')
  expect((await browser.open(`${origin}/sign-in/shop`)).url.pathname).toMatch(/\/sign-in$/)
})
