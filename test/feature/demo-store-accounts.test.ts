import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as oidc from 'openid-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { demoPassword } from '../../src/demo/store/accounts.ts'
import { createMapAdapter } from '../../src/demo/store/map-adapter.ts'
import { type Store, startStore } from '../../src/demo/store/store.ts'
import { createVisitor, type Page, type Visitor } from '../support/demo-visitor.ts'

const redirectUri = 'https://id.example.com/callback'
const client = { clientId: 'hitotsu', clientSecret: 'shared with the store' }
const shopper = { email: 'shopper@example.com', password: demoPassword }

let store: Store
let folder: string
let closing: (() => Promise<void>)[]

beforeEach(async () => {
  closing = []
  folder = await mkdtemp(join(tmpdir(), 'store-'))
  store = await openStore()
})

afterEach(async () => {
  await Promise.all(closing.map((close) => close()))
  await rm(folder, { recursive: true })
})

async function openStore(statePath?: string): Promise<Store> {
  const opened = await startStore({
    port: 0,
    issuer: 'http://127.0.0.1:1',
    clientId: 'ec-store',
    clientSecret: 'not used here',
    upstreamClient: { ...client, redirectUris: [redirectUri] },
    ...(statePath && { statePath }),
  })
  closing.push(() => opened.close())
  return opened
}

describe("the store's own accounts as an OpenID Provider", () => {
  const codeVerifier = oidc.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier: codeVerifier, expectedState: 'a state', expectedNonce: 'a nonce' }

  async function connect(): Promise<oidc.Configuration> {
    const authentication = oidc.ClientSecretBasic(client.clientSecret)
    return oidc.discovery(new URL(store.url), client.clientId, undefined, authentication, {
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    })
  }

  async function begin(visitor: Visitor, change: Record<string, string | undefined> = {}): Promise<Page> {
    const parameters = {
      redirect_uri: redirectUri,
      scope: 'openid profile email offline_access',
      prompt: 'consent',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
      ...change,
    }
    const defined = Object.entries(parameters).flatMap(([key, value]) => (value ? [[key, value]] : []))
    return visitor.open(oidc.buildAuthorizationUrl(await connect(), new URLSearchParams(defined)))
  }

  async function signIn(visitor: Visitor, credentials = shopper): Promise<Page> {
    const page = await begin(visitor)
    return visitor.press(page, page.url.pathname, credentials)
  }

  async function agree(visitor: Visitor, credentials = shopper): Promise<URL> {
    const consent = await signIn(visitor, credentials)
    const back = await visitor.press(consent, `${consent.url.pathname}/consent`, { answer: 'agree' })
    return back.url
  }

  test('RFC 7636 section 4.4.1: a request without a code challenge is refused', async () => {
    const answer = await begin(createVisitor(), {
      code_challenge: undefined,
      code_challenge_method: undefined,
    })
    expect(answer.url.searchParams.get('error')).toBe('invalid_request')
  })

  test.each(['shopper@example.com', 'nobody@example.com'])(
    'a wrong password for %s is told in the same words',
    async (email) => {
      const answer = await signIn(createVisitor(), { email, password: 'not the password' })
      expect(answer.status).toBe(422)
      expect(answer.html).toContain('The e-mail address or the password is not right.')
    },
  )

  test('a sign-in page is worth nothing in another browser', async () => {
    const { url } = await begin(createVisitor())
    expect((await createVisitor().open(url)).status).toBe(400)
  })

  test('a form of another site is refused', async () => {
    const url = new URL('/store-account/sign-up', store.url)
    const answer = await fetch(url, { method: 'POST', headers: { Origin: 'http://127.0.0.1:1' } })
    expect(answer.status).toBe(403)
  })

  test('a foreign Host header never reaches the metadata', async () => {
    const url = new URL('/.well-known/openid-configuration', store.url)
    const location = await new Promise((resolve, reject) => {
      const asked = request(url, { headers: { Host: 'evil.example' } }, (it) =>
        resolve(it.resume().headers.location),
      )
      asked.on('error', reject).end()
    })
    expect(location).toBe(url.href)
  })

  test('declining tells the relying party access_denied', async () => {
    const visitor = createVisitor()
    const consent = await signIn(visitor)
    const answer = await visitor.press(consent, `${consent.url.pathname}/consent`, { answer: 'decline' })
    expect(Object.fromEntries(answer.url.searchParams)).toMatchObject({
      error: 'access_denied',
      state: 'a state',
    })
  })

  test('RFC 6749 section 4.1.2: of two uses of one code one succeeds', async () => {
    const [config, callback] = [await connect(), await agree(createVisitor())]
    const uses = [1, 2].map(() => oidc.authorizationCodeGrant(config, callback, checks))
    const outcomes = (await Promise.allSettled(uses)).map((use) => use.status)
    expect(outcomes.sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('signing in and agreeing yields the claims, in the ID token and in userinfo', async () => {
    const [config, callback] = [await connect(), await agree(createVisitor())]
    const tokens = await oidc.authorizationCodeGrant(config, callback, checks)
    const claims = { sub: 'ec-1001', name: 'Store Member 1001', email: shopper.email, email_verified: true }
    expect(tokens.claims()).toMatchObject({ ...claims, iss: store.url, aud: 'hitotsu' })
    expect(await oidc.fetchUserInfo(config, tokens.access_token, 'ec-1001')).toEqual(claims)
  })

  test('RFC 7009: a revoked refresh token refreshes nothing', async () => {
    const [config, callback] = [await connect(), await agree(createVisitor())]
    const { refresh_token: token = '' } = await oidc.authorizationCodeGrant(config, callback, checks)
    expect((await oidc.refreshTokenGrant(config, token)).claims()?.sub).toBe('ec-1001')
    await oidc.tokenRevocation(config, token)
    await expect(oidc.refreshTokenGrant(config, token)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  test('another account can be chosen while consent is asked', async () => {
    const visitor = createVisitor()
    const consent = await signIn(visitor)
    const other = await visitor.open(`${consent.url}?as=other`)
    const again = await visitor.press(other, other.url.pathname, { ...shopper, email: 'member@example.com' })
    expect(again.html).toContain('Store Member 1002')
    const { url } = await visitor.press(again, `${again.url.pathname}/consent`, { answer: 'agree' })
    expect((await oidc.authorizationCodeGrant(await connect(), url, checks)).claims()?.sub).toBe('ec-1002')
  })

  test('select_account asks who it is although somebody is signed in', async () => {
    const visitor = createVisitor()
    await agree(visitor)
    expect((await begin(visitor, { prompt: 'select_account' })).html).toContain(
      'Sign in to your store account',
    )
  })

  test('an account is created on the way, never for an address that has one', async () => {
    const visitor = createVisitor()
    const page = await begin(visitor)
    const form = await visitor.open(`${page.url}/sign-up`)
    const entered = { name: 'New here', email: 'member@example.com', password: 'long enough' }
    const taken = await visitor.press(form, form.url.pathname, entered)
    expect([taken.status, taken.html]).toEqual([
      422,
      expect.stringContaining('There is already a store account'),
    ])
    const consent = await visitor.press(taken, form.url.pathname, { ...entered, email: 'new@example.com' })
    const { url } = await visitor.press(consent, `${consent.url.pathname}/consent`, { answer: 'agree' })
    const claims = (await oidc.authorizationCodeGrant(await connect(), url, checks)).claims()
    expect(claims).toMatchObject({ sub: 'ec-1004', email: 'new@example.com', email_verified: false })
  })

  test('a second start with the same state file finds its accounts and keys', async () => {
    const statePath = join(folder, 'store.json')
    store = await openStore(statePath)
    const keys = await (await fetch(`${store.url}/op/jwks`)).text()
    const entered = { name: 'Stays', email: 'stays@example.com', password: 'long enough' }
    const visitor = createVisitor()
    await visitor.press(
      await visitor.open(`${store.url}/store-account/sign-up`),
      '/store-account/sign-up',
      entered,
    )
    store = await openStore(statePath)
    expect(await (await fetch(`${store.url}/op/jwks`)).text()).toBe(keys)
    expect((await signIn(createVisitor(), entered)).html).toContain('Stays')
  })
})

describe("the memory of the store's provider", () => {
  test('of two that consume one code only the first succeeds', async () => {
    const codes = createMapAdapter(() => new Date(0))('AuthorizationCode')
    await codes.upsert('a code', {}, 60)
    const uses = await Promise.allSettled([codes.consume('a code'), codes.consume('a code')])
    expect(uses.map((use) => use.status)).toEqual(['fulfilled', 'rejected'])
  })

  test('nothing is found after its time', async () => {
    let now = new Date(0)
    const codes = createMapAdapter(() => now)('AuthorizationCode')
    await codes.upsert('a code', {}, 60)
    now = new Date(59_999)
    expect(await codes.find('a code')).toEqual({})
    now = new Date(60_000)
    expect(await codes.find('a code')).toBeUndefined()
  })
})
