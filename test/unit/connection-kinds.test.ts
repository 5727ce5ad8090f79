import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Attempt } from '../../src/connections/connector.ts'
import { kindOf } from '../../src/connections/kinds.ts'
import { type Described, settingFaults } from '../../src/connections/setting-faults.ts'
import { connectionSettings, type KindName, kinds } from '../../src/connections/settings.ts'

const attempt: Attempt = {
  redirectUri: 'https://id.example.com/connections/line/callback',
  state: 'state',
  nonce: 'nonce',
  codeVerifier: 'verifier',
  locale: 'ja',
  forceSignIn: false,
  isRetry: false,
}

const p8 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
})
const key = String(p8)
const elsewhere = 'https://id.example.com'

/** What each kind takes to be complete, besides a client and its secret. */
const complete: Record<KindName, Omit<Described, 'kind'>> = {
  oidc: { issuer: elsewhere, settings: {} },
  oauth2: {
    issuer: elsewhere,
    settings: { endpoints: { userinfo: `${elsewhere}/me` }, claims: { subject: 'id', subjectType: 'text' } },
  },
  line: { issuer: kindOf('line').issuer, settings: {} },
  google: { issuer: kindOf('google').issuer, settings: {} },
  apple: {
    issuer: kindOf('apple').issuer,
    clientSecret: key,
    settings: { signer: { teamId: 'ABCDE12345', keyId: 'FGHIJ67890' } },
  },
  'yahoo-japan': { issuer: kindOf('yahoo-japan').issuer, settings: {} },
  'd-account': { issuer: elsewhere, settings: {} },
  rakuten: { issuer: elsewhere, settings: {} },
  amazon: { issuer: kindOf('amazon').issuer, settings: {} },
  facebook: { issuer: kindOf('facebook').issuer, settings: {} },
  x: { issuer: kindOf('x').issuer, settings: {} },
  shopify: {
    issuer: 'https://shopify.com/authentication/1',
    settings: { discovery: 'https://shop.example.com/.well-known/openid-configuration' },
  },
  ticket: { issuer: elsewhere, settings: {} },
}

describe.each(kinds)('%s', (kind) => {
  test('has settings that any connection could have', () => {
    expect(connectionSettings.parse(kindOf(kind).settings)).toEqual(kindOf(kind).settings)
  })

  test('takes an address as verified only where the operator says so', () => {
    expect(kindOf(kind).settings.trustEmail).toBe(false)
  })

  test('shows relying parties the subject unless the operator says otherwise', () => {
    expect(kindOf(kind).settings.disclosure).toBe('subject')
  })

  test('is refused without what its documentation leaves open, and complete with it', () => {
    const { asks, issuer } = kindOf(kind)
    const missing = settingFaults({ kind, issuer, settings: {} })
    expect(missing).toHaveLength(Object.keys(asks).length)
    for (const where of Object.values(asks))
      expect(missing.some(({ message }) => message.endsWith(where))).toBe(true)
    expect(settingFaults({ kind, ...complete[kind] })).toEqual([])
  })
})

describe('what documentation states', () => {
  const google = 'https://developers.google.com/identity/openid-connect/reference'
  const yahoo = 'https://developer.yahoo.co.jp/yconnect/v2/authorization_code/configuration.html'
  const amazon = 'https://developer.amazon.com/docs/login-with-amazon/authorization-code-grant.html'
  const x = 'https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token'
  const facebook = 'https://developers.facebook.com/documentation/facebook-login/guides/advanced/manual-flow'
  const apple = 'https://developer.apple.com/documentation/signinwithapplerestapi'
  const shopify = 'https://shopify.dev/docs/api/customer/latest'
  const line = 'https://developers.line.biz/en/docs/line-login/integrate-line-login/'

  test.each<[KindName, string, object]>([
    [
      'line',
      line,
      { protocol: 'oidc', issuer: 'https://access.line.me', provesAfresh: true, vouchesForEmail: false },
    ],
    ['google', google, { protocol: 'oidc', issuer: 'https://accounts.google.com', withdrawalNotice: 'risc' }],
    ['yahoo-japan', yahoo, { protocol: 'oidc', issuer: 'https://auth.login.yahoo.co.jp/yconnect/v2' }],
    ['apple', apple, { protocol: 'oidc', issuer: 'https://appleid.apple.com', secretIsKey: true }],
    ['shopify', shopify, { protocol: 'oidc' }],
    ['amazon', amazon, { protocol: 'oauth2', vouchesForEmail: false }],
    ['x', x, { protocol: 'oauth2', vouchesForEmail: false }],
    [
      'facebook',
      facebook,
      { protocol: 'oauth2', vouchesForEmail: false, withdrawalNotice: 'deauthorize_callback' },
    ],
  ])('%s is what %s says', (kind, _address, facts) => {
    expect(kindOf(kind)).toMatchObject(facts)
  })

  test.each<[KindName, string, object]>([
    [
      'line',
      line,
      {
        idTokenSigningAlg: 'HS256',
        clientAuthentication: 'client_secret_post',
        authorizationParams: { bot_prompt: 'normal' },
      },
    ],
    [
      'google',
      google,
      {
        idTokenSigningAlg: 'RS256',
        authorizationParams: { access_type: 'offline' },
        scope: 'openid profile email',
      },
    ],
    [
      'yahoo-japan',
      yahoo,
      {
        idTokenSigningAlg: 'RS256',
        clientAuthentication: 'client_secret_basic',
        authorizationParams: { bail: '1' },
      },
    ],
    [
      'apple',
      apple,
      { idTokenSigningAlg: 'RS256', clientAuthentication: 'client_secret_post', scope: 'openid name email' },
    ],
    [
      'amazon',
      amazon,
      {
        scope: 'profile',
        endpoints: {
          authorization: 'https://www.amazon.com/ap/oa',
          token: 'https://api.amazon.com/auth/o2/token',
          userinfo: 'https://api.amazon.com/user/profile',
        },
        claims: { subject: 'user_id', subjectType: 'text', name: 'name', email: 'email' },
      },
    ],
    [
      'x',
      x,
      {
        scope: 'users.read tweet.read offline.access',
        clientAuthentication: 'client_secret_basic',
        endpoints: {
          authorization: 'https://x.com/i/oauth2/authorize',
          token: 'https://api.x.com/2/oauth2/token',
          userinfo: 'https://api.x.com/2/users/me',
          revocation: 'https://api.x.com/2/oauth2/revoke',
        },
        claims: { subject: 'data.id', subjectType: 'text', name: 'data.name' },
      },
    ],
    [
      'facebook',
      facebook,
      {
        clientAuthentication: 'client_secret_post',
        endpoints: { userinfo: 'https://graph.facebook.com/v25.0/me?fields=id,name,email' },
        claims: { subject: 'id', subjectType: 'text', name: 'name', email: 'email' },
      },
    ],
    ['shopify', shopify, { clientAuthentication: 'client_secret_basic' }],
  ])('%s is set as %s says', (kind, _address, settings) => {
    expect(kindOf(kind).settings).toMatchObject(settings)
  })

  test.each<KindName>(['d-account', 'rakuten'])('%s publishes no endpoint, and none is made up', (kind) => {
    const { issuer, settings, asks } = kindOf(kind)
    expect({ issuer, endpoints: settings.endpoints, discovery: settings.discovery }).toEqual({})
    expect(asks.issuer).toBeTruthy()
  })
})

test('LINE: auto login is left on at first and off once it has come back in another browser', () => {
  const { authorizationParams } = kindOf('line')
  expect(authorizationParams?.(attempt)).toEqual({})
  expect(authorizationParams?.({ ...attempt, isRetry: true })).toEqual({ disable_auto_login: 'true' })
})

describe('Apple', () => {
  test.each([
    ['openid', false],
    ['openid email', true],
    ['openid name', true],
    ['openid emails', false],
  ])('asked for %s answers by a form: %s', (scope, byForm) => {
    const { answersByForm, settings } = kindOf('apple')
    expect(answersByForm?.({ ...settings, scope })).toBe(byForm)
  })

  test.each([
    ['{"name":{"firstName":"Hanako","lastName":"Suzuki"}}', 'Hanako Suzuki'],
    ['{"name":{"firstName":"花子","lastName":"鈴木"}}', '鈴木 花子'],
    ['{"name":{"firstName":"Hanako"}}', 'Hanako'],
    ['{"name":{}}', undefined],
    ['{"name":"Hanako"}', undefined],
    ['not JSON', undefined],
    [undefined, undefined],
  ])('tells the name in %s as %s', (user, name) => {
    const answer = new URLSearchParams(user === undefined ? {} : { user })
    expect(kindOf('apple').nameIn?.(answer)).toBe(name)
  })

  test.each([
    ['a text', 'not a key at all'],
    ['a key of another curve', pem('secp384r1')],
    ['an RSA key', rsaPem()],
  ])('takes no %s as its key', (_, clientSecret) => {
    const faults = settingFaults({ kind: 'apple', ...complete.apple, clientSecret })
    expect(faults).toEqual([{ path: 'clientSecret', message: expect.stringContaining('.p8') }])
  })
})

describe('a connection is refused', () => {
  test.each<[string, Described, string]>([
    [
      'that asks an OpenID Provider for no ID token',
      { kind: 'oidc', issuer: elsewhere, settings: { scope: 'profile' } },
      'settings.scope',
    ],
    [
      'with one endpoint of two',
      { kind: 'oidc', issuer: elsewhere, settings: { endpoints: { token: elsewhere } } },
      'settings.endpoints.authorization',
    ],
    [
      'whose endpoints are given, but not the keys of its ID tokens',
      {
        kind: 'oidc',
        issuer: elsewhere,
        settings: { endpoints: { token: elsewhere, authorization: elsewhere } },
      },
      'settings.endpoints.jwks',
    ],
    [
      'that maps the claims of OpenID Connect',
      { kind: 'oidc', issuer: elsewhere, settings: { claims: { subject: 'id', subjectType: 'text' } } },
      'settings.claims',
    ],
    [
      'that believes an upstream which vouches for nothing',
      { kind: 'amazon', issuer: elsewhere, settings: { trustEmail: true } },
      'settings.trustEmail',
    ],
    [
      'that believes in a word it does not say where to read',
      { kind: 'oauth2', ...complete.oauth2, settings: { ...complete.oauth2.settings, trustEmail: true } },
      'settings.trustEmail',
    ],
    [
      'with a signer where there is a secret',
      { kind: 'google', issuer: elsewhere, settings: { signer: { teamId: 'A', keyId: 'B' } } },
      'settings.signer',
    ],
  ])('%s', (_, described, path) => {
    expect(settingFaults(described).map((fault) => fault.path)).toEqual([path])
  })
})

function pem(namedCurve: string): string {
  return String(generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

function rsaPem(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
}
