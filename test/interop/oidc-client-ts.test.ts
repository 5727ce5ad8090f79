import type { UserManager } from 'oidc-client-ts'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { enterPassword, press } from '../journey/at-hitotsu.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Chromium, openChromium, type Visitor } from '../support/chromium.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post } from '../support/post.ts'
import { type StaticPages, startStaticPages } from './static-pages.ts'

/** What the script of the application's page has made. */
declare const manager: UserManager

let server: TestApp
let chromium: Chromium
let pages: StaticPages
let member: GivenMember
let visitor: Visitor

beforeAll(async () => {
  ;[server, chromium, pages] = await Promise.all([startTestApp(), openChromium(), startStaticPages()])
  await register('plain', {}, 'loadUserInfo: true')
  await register(
    'bound',
    { dpop_bound_access_tokens: true },
    'dpop: { bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore() }',
  )
})
beforeEach(async () => {
  ;[member, visitor] = [await givenMember(server), await chromium.visit()]
})
afterEach(() => chromium.endVisits())
afterAll(async () => {
  pages.close()
  await Promise.all([chromium.close(), server.close()])
})

/** An application of this name, set up as the library's documentation says. */
async function register(id: string, metadata: Record<string, unknown>, settings: string): Promise<void> {
  const [callback, bye] = [`${pages.origin}/${id}/callback`, `${pages.origin}/${id}/bye`]
  await givenClient(server, {
    id,
    profile: 'spa',
    redirectUris: [callback],
    postLogoutRedirectUris: [bye],
    metadata,
  })
  pages.add(
    id,
    `const manager = new oidc.UserManager({
      authority: '${server.issuer}',
      client_id: '${id}',
      redirect_uri: '${callback}',
      post_logout_redirect_uri: '${bye}',
      scope: 'openid profile email offline_access',
      prompt: 'consent',
      ${settings}
    })`,
  )
}

/** From the application to our consent page. */
async function beginSignIn(name: string): Promise<void> {
  await visitor.open(`${pages.origin}/${name}/`)
  await press(visitor, 'Sign in')
  await enterPassword(visitor, member)
}

async function signIn(name: string): Promise<void> {
  await beginSignIn(name)
  await press(visitor, visitor.t('consent.allow'))
  expect(visitor.page.url()).toMatch(`${pages.origin}/${name}/callback?code=`)
  await visitor.page.evaluate(() => manager.signinCallback())
}

/** What the library says when it takes the answer. */
const callbackError = () =>
  visitor.page.evaluate(() =>
    manager.signinCallback().then(
      () => 'nothing',
      ({ error, message }) => error ?? message,
    ),
  )

/** Runs in a page: what its scripts get to know of the answers to a call with a token, and to one for others. */
async function callFrom({ issuer, token }: { issuer: string; token: string }): Promise<(number | string)[]> {
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'plain', refresh_token: 'x' })
  const calls = [
    fetch(`${issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } }),
    fetch(`${issuer}/token`, { method: 'POST', body }),
  ]
  return Promise.all(
    calls.map((call) =>
      call.then(
        ({ status }) => status,
        ({ name }) => name,
      ),
    ),
  )
}

const userOf = () => visitor.page.evaluate(() => manager.getUser())

test('who declines at the consent page is not signed in: access_denied', async () => {
  await beginSignIn('plain')
  await press(visitor, visitor.t('consent.deny'))
  expect(await callbackError()).toBe('access_denied')
  expect(await userOf()).toBeNull()
})

test('an answer to a request of another browser is not taken', async () => {
  await beginSignIn('plain')
  await press(visitor, visitor.t('consent.allow'))
  const answer = visitor.page.url()
  visitor = await chromium.visit()
  await visitor.open(answer)
  expect(await callbackError()).toMatch(/No matching state found/)
})

test('scripts of another origin reach neither tokens nor claims', async () => {
  await signIn('plain')
  const token = (await userOf())?.access_token ?? ''
  const answers = () => visitor.page.evaluate(callFrom, { issuer: server.issuer, token })
  expect(await answers()).toEqual([200, 400])
  await visitor.open(pages.origin.replace('127.0.0.1', 'localhost'))
  expect(await answers()).toEqual(['TypeError', 'TypeError'])
  await expect(chromium.endVisits()).rejects.toThrow(/blocked by CORS policy/)
})

test('signs in, reads userinfo, renews silently, revokes and signs out', async () => {
  await signIn('plain')
  const first = await userOf()
  expect(first?.profile).toMatchObject({ sub: member.id, name: member.name, email: member.email })

  await visitor.page.evaluate(() => manager.signinSilent())
  const renewed = await userOf()
  expect(renewed?.access_token).toBeTruthy()
  expect(renewed?.access_token).not.toBe(first?.access_token)
  expect(renewed?.refresh_token).not.toBe(first?.refresh_token)

  await visitor.page.evaluate(() => manager.revokeTokens())
  const body = {
    grant_type: 'refresh_token',
    client_id: 'plain',
    refresh_token: renewed?.refresh_token ?? '',
  }
  expect((await post(server, '/token', body)).json.error).toBe('invalid_grant')
  await press(visitor, 'Sign out')
  await press(visitor, visitor.t('sign_out.yes'))
  expect(visitor.page.url()).toMatch(`${pages.origin}/plain/bye`)
  await visitor.page.evaluate(() => manager.signoutCallback())
  expect(await userOf()).toBeNull()
})

test('binds its code and its tokens with DPoP', async () => {
  await signIn('bound')
  expect((await userOf())?.token_type).toBe('DPoP')
  await visitor.page.evaluate(() => manager.signinSilent())
  const claims = await visitor.page.evaluate(async (url) => {
    const user = await manager.getUser()
    if (!user) return undefined
    const proof = await manager.dpopProof(url, user, 'GET')
    const headers = { authorization: `DPoP ${user.access_token}`, dpop: proof ?? '' }
    return (await fetch(url, { headers })).json()
  }, `${server.issuer}/userinfo`)
  expect(claims).toMatchObject({ sub: member.id, email: member.email })
})
