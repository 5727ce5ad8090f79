import * as oidc from 'openid-client'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type KeyPair, newKeys, publicKeys } from '../support/fapi.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { givenRegistrationToken } from '../support/registration.ts'
import { signInFrom } from './at-hitotsu.ts'

const redirectUri = 'https://shop.example.com/callback'
const afterSignOut = 'https://shop.example.com/bye'
// OIDC Core 3.1.3.7 (6) lets TLS stand in for the signature of an ID token; there is none here.
const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]

let server: TestApp
let keys: KeyPair
let config: oidc.Configuration
let DPoP: oidc.DPoPHandle
let member: GivenMember
let browser: Browser

beforeAll(async () => {
  server = await startTestApp()
  keys = await newKeys()
  const initialAccessToken = await givenRegistrationToken(server)
  const metadata = {
    client_name: 'Shop',
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [afterSignOut],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: (await publicKeys([keys, 'ES256'])).keys as oidc.JsonObject[] },
    require_pushed_authorization_requests: true,
    dpop_bound_access_tokens: true,
  }
  config = await oidc.dynamicClientRegistration(new URL(server.issuer), metadata, prove(keys), {
    initialAccessToken,
    execute,
  })
  DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair())
})
beforeEach(async () => {
  member = await givenMember(server)
  browser = openBrowser()
  browser.stopAt(redirectUri)
})
afterAll(() => server.close())

const prove = ({ privateKey }: KeyPair) => oidc.PrivateKeyJwt(privateKey as CryptoKey)

/** A good request, and what its answer is checked against. */
async function newRequest() {
  const [pkceCodeVerifier, expectedState, expectedNonce] = [
    oidc.randomPKCECodeVerifier(),
    oidc.randomState(),
    oidc.randomNonce(),
  ]
  const parameters = {
    redirect_uri: redirectUri,
    scope: 'openid profile email offline_access',
    prompt: 'consent',
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  }
  return { parameters, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } }
}

/** The same, pushed: to where the browser is sent. */
async function begin() {
  const { parameters, checks } = await newRequest()
  return { url: await oidc.buildAuthorizationUrlWithPAR(config, parameters, { DPoP }), checks }
}

/** What comes back to the relying party once the member has agreed, or not. */
async function answer(url: URL, decision: '/consent' | '/cancel' = '/consent'): Promise<URL> {
  return (await browser.submit(await signInFrom(browser, url, member), decision)).url
}

test('a request that was not pushed is refused', async () => {
  const { parameters } = await newRequest()
  const { searchParams } = (await browser.open(oidc.buildAuthorizationUrl(config, parameters))).url
  expect(searchParams.get('error_description')).toMatch(/Pushed Authorization Request/)
})

test('an assertion by another key is refused', async () => {
  const [{ client_id: id }, { parameters }] = [config.clientMetadata(), await newRequest()]
  const stranger = await oidc.discovery(new URL(server.issuer), id, {}, prove(await newKeys()), { execute })
  const pushed = oidc.buildAuthorizationUrlWithPAR(stranger, parameters, { DPoP })
  await expect(pushed).rejects.toMatchObject({ error: 'invalid_client' })
})

test('an answer to another request is refused', async () => {
  const [{ url }, { checks }] = [await begin(), await begin()]
  await expect(
    oidc.authorizationCodeGrant(config, await answer(url), checks, undefined, { DPoP }),
  ).rejects.toMatchObject({ code: 'OAUTH_INVALID_RESPONSE' })
})

test('declined consent is access_denied', async () => {
  const { url, checks } = await begin()
  await expect(
    oidc.authorizationCodeGrant(config, await answer(url, '/cancel'), checks, undefined, { DPoP }),
  ).rejects.toMatchObject({ error: 'access_denied' })
})

test('registers itself, pushes, signs in with bound tokens, refreshes, introspects, revokes and signs out', async () => {
  const { url, checks } = await begin()
  const tokens = await oidc.authorizationCodeGrant(config, await answer(url), checks, undefined, { DPoP })
  expect(tokens).toMatchObject({ token_type: 'dpop', scope: 'openid profile email offline_access' })
  expect(tokens.claims()).toMatchObject({ iss: server.issuer, sub: member.id })

  const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '', undefined, { DPoP })
  const token = refreshed.access_token
  expect(await oidc.fetchUserInfo(config, token, member.id, { DPoP })).toMatchObject({ email: member.email })
  await expect(oidc.fetchUserInfo(config, token, member.id)).rejects.toMatchObject({ status: 401 })
  expect(await oidc.tokenIntrospection(config, token)).toMatchObject({
    active: true,
    sub: member.id,
    token_type: 'DPoP',
    cnf: { jkt: await DPoP.calculateThumbprint() },
  })

  await oidc.tokenRevocation(config, refreshed.refresh_token ?? '')
  expect(await oidc.tokenIntrospection(config, token)).toEqual({ active: false })
  await expect(
    oidc.refreshTokenGrant(config, refreshed.refresh_token ?? '', undefined, { DPoP }),
  ).rejects.toMatchObject({ error: 'invalid_grant' })

  const demand = { id_token_hint: refreshed.id_token ?? '', post_logout_redirect_uri: afterSignOut }
  const question = await browser.open(oidc.buildEndSessionUrl(config, demand))
  browser.stopAt(afterSignOut)
  expect((await browser.submit(question, '/sign-out/confirm', { logout: 'yes' })).url.href).toBe(afterSignOut)
})
