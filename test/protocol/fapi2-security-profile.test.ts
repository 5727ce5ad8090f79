import { randomBytes, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, type JWTPayload } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type NewClient, newClient } from '../../src/oidc/clients/new-client.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import {
  type Changes,
  dpopProof,
  type FapiClient,
  givenFapiClient,
  type KeyPair,
  newKeys,
  proving,
  publicKeys,
  pushForm,
  requestOf,
  seconds,
} from '../support/fapi.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { type Attempt, authorize, begin } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let browser: Browser
let party: FapiClient
let other: { RS256: KeyPair; PS256: KeyPair }
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  browser = openBrowser()
  other = { RS256: await newKeys('RS256'), PS256: await newKeys('PS256') }
  const keys = await newKeys()
  const jwks = await publicKeys([keys, 'ES256'], [other.RS256, 'RS256'], [other.PS256, 'PS256'])
  const redirectUris = [
    'https://fapi.example.com/callback',
    'https://fapi.example.com/callback?dummy1=lorem&dummy2=ipsum',
  ]
  party = await givenFapiClient(server, { keys, jwks, redirectUris })
})
afterAll(() => server.close())

/** Pushes a request and lets the member, who stays signed in, agree. */
async function obtainCode(
  parameters: Record<string, string> = {},
  options: oidc.DPoPOptions = {},
): Promise<{ attempt: Attempt; callback: URL }> {
  const attempt = await begin(party, parameters)
  const pushed = Object.fromEntries(attempt.url.searchParams)
  const url = await oidc.buildAuthorizationUrlWithPAR(party.config, pushed, options)
  return { attempt, callback: await authorize(party, browser, member, url) }
}

type Obtained = Awaited<ReturnType<typeof obtainCode>>

function redeem({ callback, attempt }: Obtained, DPoP: oidc.DPoPHandle | null = party.DPoP) {
  const checks = {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
    idTokenExpected: true,
  }
  return oidc.authorizationCodeGrant(party.config, callback, checks, undefined, DPoP ? { DPoP } : {})
}

/** Exchanges a code with a proof that has these changes. */
async function redeemProving(
  { callback, attempt }: Obtained,
  { pair = party.proofKeys, ...changes }: Changes,
) {
  const proof = await dpopProof(pair, { htm: 'POST', htu: `${server.issuer}/token` }, changes)
  const form = {
    ...(await proving(server, party)),
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    redirect_uri: party.redirectUri,
    code_verifier: attempt.codeVerifier,
  }
  return post(server, '/token', form, { headers: { dpop: proof } })
}

async function userinfo(token: string, headers: Record<string, string>) {
  const host = new URL(server.issuer).host
  return send(`${server.issuer}/userinfo`, { headers: { host, authorization: `DPoP ${token}`, ...headers } })
}

const refused = { error: 'invalid_client' }

describe('FAPI 2.0 Security Profile section 5.3.2: what a client must register', () => {
  const good: NewClient = {
    id: 'bank-app',
    name: { ja: '銀行', en: 'Bank' },
    profile: 'fapi2',
    redirectUris: ['https://bank.example.com/callback'],
    jwks: { keys: [{}] },
  }
  test.each<[string, Partial<NewClient>, string]>([
    ['5.3.2.1 (2): a password grant', { metadata: { grant_types: ['password'] } }, 'grant_types'],
    ['5.3.2.1 (3): a public client', { authMethod: 'none' }, 'authMethod'],
    ['5.3.2.1 (4): bearer tokens', { metadata: { dpop_bound_access_tokens: false } }, 'dpop_bound'],
    ['5.3.2.1 (6): a secret', { authMethod: 'client_secret_basic' }, 'authMethod'],
    ['5.3.2.2 (1): another response type', { metadata: { response_types: ['none'] } }, 'response_types'],
    [
      '5.3.2.2 (3): requests that are not pushed',
      { metadata: { require_pushed_authorization_requests: false } },
      'require_pushed',
    ],
    ['5.3.2.2 (5): no PKCE', { requirePkce: false }, 'requirePkce'],
    ['5.3.2.2 (8): an http address', { redirectUris: ['http://bank.example.com/'] }, 'redirectUris'],
    ['5.4.1: RS256', { idTokenSigningAlg: 'RS256' }, 'idTokenSigningAlg'],
  ])('section %s is refused', (_, changes, named) => {
    const { error } = newClient.safeParse({ ...good, ...changes })
    expect(error?.issues.map(({ path, message }) => [...path, message].join(' ')).join()).toContain(named)
  })

  test('what the profile leaves open is as FAPI wants it', () => {
    expect(newClient.safeParse(good).error).toBeUndefined()
  })
})

describe('FAPI 2.0 Security Profile section 5.3.2.1: client authentication', () => {
  test.each<[string, () => Changes]>([
    ['(8): for the issuer in a list', () => ({ payload: { aud: [server.issuer] } })],
    ['(8): for the token endpoint', () => ({ payload: { aud: `${server.issuer}/token` } })],
    ['(8): for the endpoint itself', () => ({ payload: { aud: `${server.issuer}/par` } })],
    ['(13): valid in 70 seconds', () => ({ payload: { nbf: seconds(70), exp: seconds(120) } })],
    ['(13): made in 70 seconds', () => ({ payload: { iat: seconds(70), exp: seconds(120) } })],
    ['(13): of the past', () => ({ payload: { exp: seconds(-60) } })],
    ['5.4.1: signed with RS256', () => ({ header: { alg: 'RS256' }, pair: other.RS256 })],
  ])('%s: an assertion is refused', async (_, make) => {
    const answer = await pushForm(server, party, await requestOf(party), make())
    expect([answer.status, answer.json]).toMatchObject([401, refused])
  })

  test('section 5.3.2.2 (4): nothing is pushed without an assertion', async () => {
    const answer = await post(server, '/par', { ...(await requestOf(party)), client_id: party.id })
    expect([answer.status, answer.json]).toMatchObject([401, refused])
  })

  test.each<[string, () => JWTPayload]>([
    ['made in 8 seconds', () => ({ iat: seconds(8) })],
    ['valid in 8 seconds', () => ({ nbf: seconds(8) })],
  ])('(13): one that is %s, by a clock that is a little ahead, is taken', async (_, make) => {
    expect((await pushForm(server, party, await requestOf(party), { payload: make() })).status).toBe(201)
  })

  test('section 5.4.1: PS256 is taken', async () => {
    const changes = { header: { alg: 'PS256' }, pair: other.PS256 }
    expect((await pushForm(server, party, await requestOf(party), changes)).status).toBe(201)
  })
})

describe('FAPI 2.0 Security Profile section 5.3.2.2: authorization requests', () => {
  test.each<[string, Record<string, string>, string]>([
    ['(1): with response type token', { response_type: 'token' }, 'unsupported_response_type'],
    ['(1): with response type none', { response_type: 'none' }, 'invalid_request'],
    ['(5): without a challenge', { code_challenge: '', code_challenge_method: '' }, 'invalid_request'],
    ['(5): with a plain challenge', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['(6): without a redirect_uri', { redirect_uri: '' }, 'invalid_request'],
    ['(6): with an unregistered one', { redirect_uri: 'https://evil.example/' }, 'invalid_request'],
  ])('%s are refused when pushed', async (_, parameters, error) => {
    const answer = await pushForm(server, party, await requestOf(party, parameters))
    expect([answer.status, answer.json.error]).toEqual([400, error])
  })

  test('(3): one that was not pushed is refused', async () => {
    const { headers } = await send((await begin(party)).url)
    const { searchParams } = new URL(String(headers.location))
    expect(searchParams.get('error')).toBe('invalid_request')
    expect(searchParams.get('iss')).toBe(server.issuer)
  })

  test("another client's request_uri is refused", async () => {
    const url = await oidc.buildAuthorizationUrlWithPAR(party.config, await requestOf(party))
    const stranger = await givenFapiClient(server)
    url.searchParams.set('client_id', stranger.id)
    const { status, headers, text } = await send(url, { headers: { accept: 'text/html' } })
    expect([status, headers.location]).toEqual([400, undefined])
    expect(text).toContain('invalid_request_object')
  })

  test('a member who cancels has denied access', async () => {
    const url = await oidc.buildAuthorizationUrlWithPAR(party.config, await requestOf(party))
    const stranger = openBrowser()
    stranger.stopAt(party.redirectUri)
    const { searchParams } = (await stranger.submit(await stranger.open(url), '/cancel')).url
    expect([searchParams.get('error'), searchParams.get('iss')]).toEqual(['access_denied', server.issuer])
  })

  test('a request_uri is used up by the answer, not by a browser that loads it ahead', async () => {
    const url = await oidc.buildAuthorizationUrlWithPAR(party.config, await requestOf(party))
    const stranger = openBrowser()
    for (const load of [1, 2]) expect((await stranger.open(url)).status, `load ${load}`).toBe(200)
    const callback = await authorize(party, stranger, member, url)
    expect(callback.searchParams.has('code')).toBe(true)
    const again = await stranger.open(url)
    expect(again.html + again.url.search).toContain('invalid_request_uri')
  })

  test('(10) (11): the answer is a 303, with a code and the issuer', async () => {
    await obtainCode()
    const url = await oidc.buildAuthorizationUrlWithPAR(party.config, await requestOf(party))
    const { status, headers } = await browser.request(url)
    const { searchParams } = new URL(headers.get('location') ?? '')
    expect([status, searchParams.has('code'), searchParams.get('iss')]).toEqual([303, true, server.issuer])
  })

  test('(12): a request_uri is good for less than ten minutes', async () => {
    const { json } = await pushForm(server, party, await requestOf(party))
    expect(json.expires_in).toBeLessThan(600)
  })
})

describe('FAPI 2.0 Security Profile section 5.3.2: tokens', () => {
  test('5.3.2.1 (2): there is no password grant', async () => {
    const form = { grant_type: 'password', username: member.email, password: member.password }
    const answer = await post(server, '/token', { ...form, ...(await proving(server, party)) })
    expect([answer.status, answer.json.error]).toEqual([400, 'unsupported_grant_type'])
  })

  test('5.3.2.1 (4): there is no token without a proof of possession', async () => {
    const obtained = await obtainCode()
    await expect(redeem(obtained, null)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await redeem(obtained)).token_type).toBe('dpop')
  })

  test.each<[string, () => Changes]>([
    ['for another method', () => ({ payload: { htm: 'GET' } })],
    ['for another endpoint', () => ({ payload: { htu: `${server.issuer}/par` } })],
    ['made in 70 seconds', () => ({ payload: { iat: seconds(70) } })],
    ['made 70 seconds ago', () => ({ payload: { iat: seconds(-70) } })],
    ['signed with RS256', () => ({ header: { alg: 'RS256' }, pair: other.RS256 })],
  ])('RFC 9449 section 4.3: a proof %s gives none', async (_, make) => {
    const answer = await redeemProving(await obtainCode(), make())
    expect(answer.status).toBe(400)
    expect(answer.json.error).toMatch(/^(invalid|use)_dpop/)
  })

  test.each([-8, 8])('5.3.2.1 (13): a proof whose clock is %i seconds off gives one', async (offset) => {
    const answer = await redeemProving(await obtainCode(), { payload: { iat: seconds(offset) } })
    expect(answer.json).toMatchObject({ token_type: 'DPoP' })
  })

  test('5.3.2.1 (11): a code is good for a minute', async () => {
    const obtained = await obtainCode()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
    onTestFinished(() => void vi.useRealTimers())
    await expect(redeem(obtained)).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  test.each([
    [
      'dpop_jkt',
      async () => ({ dpop_jkt: await calculateJwkThumbprint(await exportJWK(party.proofKeys.publicKey)) }),
      false,
    ],
    ['a proof when it was pushed', async () => ({}), true],
  ])('5.3.2.1 (12): a code bound to a key by %s is for that key alone', async (_, parameters, isProved) => {
    const options = isProved ? { DPoP: party.DPoP } : {}
    const thief = oidc.getDPoPHandle(party.config, await newKeys())
    const stolen = await obtainCode(await parameters(), options)
    await expect(redeem(stolen, thief)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await redeem(await obtainCode(await parameters(), options))).token_type).toBe('dpop')
  })

  test('5.3.2.2 (9): a used code gives nothing, and takes back what it gave', async () => {
    const obtained = await obtainCode()
    const { access_token } = await redeem(obtained)
    await expect(redeem(obtained)).rejects.toMatchObject({ error: 'invalid_grant' })
    const options = { DPoP: party.DPoP }
    await expect(oidc.fetchUserInfo(party.config, access_token, member.id, options)).rejects.toThrow()
  })

  test('5.3.2.1 (9): a refresh token stays the same and can be used again', async () => {
    const { refresh_token = '' } = await redeem(await obtainCode({ scope: 'openid offline_access' }))
    const refresh = () => oidc.refreshTokenGrant(party.config, refresh_token, undefined, { DPoP: party.DPoP })
    for (const use of [await refresh(), await refresh()])
      expect([undefined, refresh_token]).toContain(use.refresh_token)
  })

  test.each<[string, Record<string, string>]>([
    ['scopes in another order', { scope: 'email openid' }],
    ['a nonce of 64 characters', { nonce: randomBytes(32).toString('hex') }],
  ])('a request with %s gives tokens', async (_, parameters) => {
    const { attempt, callback } = await obtainCode(parameters)
    const expected = { ...attempt, nonce: parameters.nonce ?? attempt.nonce }
    expect((await redeem({ callback, attempt: expected })).claims()?.sub).toBe(member.id)
  })

  test('a redirect address with a query of its own keeps it', async () => {
    const redirect_uri = `${party.redirectUri}?dummy1=lorem&dummy2=ipsum`
    const obtained = await obtainCode({ redirect_uri })
    expect(obtained.callback.href.startsWith(`${redirect_uri}&`)).toBe(true)
    const form = {
      grant_type: 'authorization_code',
      code: obtained.callback.searchParams.get('code') ?? '',
      redirect_uri,
      code_verifier: obtained.attempt.codeVerifier,
      ...(await proving(server, party)),
    }
    const proof = await dpopProof(party.proofKeys, { htm: 'POST', htu: `${server.issuer}/token` })
    expect((await post(server, '/token', form, { headers: { dpop: proof } })).status).toBe(200)
  })
})

describe('FAPI 2.0 Security Profile section 5.3.4: userinfo as the resource', () => {
  let token: string
  let proofFor: (changes?: Omit<Changes, 'pair'>, pair?: KeyPair) => Promise<{ dpop: string }>
  beforeAll(async () => {
    token = (await redeem(await obtainCode())).access_token
    proofFor = async (changes = {}, pair = party.proofKeys) => ({
      dpop: await dpopProof(pair, { htm: 'GET', htu: `${server.issuer}/userinfo`, token }, changes),
    })
  })

  test('(4): a token without its key is refused', async () => {
    expect((await userinfo(token, { authorization: `Bearer ${token}` })).status).toBe(401)
    expect((await userinfo(token, await proofFor({}, await newKeys()))).status).toBe(401)
    expect((await userinfo(token, await proofFor({ payload: { ath: 'x' } }))).status).toBe(401)
  })

  test('(1): a token in the address is refused', async () => {
    const { status } = await send(`${server.issuer}/userinfo?access_token=${token}`, {
      headers: await proofFor(),
    })
    expect(status).toBeGreaterThanOrEqual(400)
  })

  test('section 5.3.2.1 (13): a proof from the future is refused, whatever its nonce', async () => {
    const asked = await userinfo(token, await proofFor({ payload: { iat: seconds(-70) } }))
    const nonce = String(asked.headers['dpop-nonce'])
    const answer = await userinfo(token, await proofFor({ payload: { iat: seconds(70), nonce } }))
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_dpop_proof'])
    expect((await userinfo(token, await proofFor({ payload: { nonce } }))).status).toBe(200)
  })

  test('what is no identifier of a call is not said again', async () => {
    const { headers } = await userinfo(token, { ...(await proofFor()), 'x-fapi-interaction-id': 'a b<c' })
    expect(headers['x-fapi-interaction-id']).toBeUndefined()
  })

  test('a token with its key is served, and the identifier of the call said again', async () => {
    const id = randomUUID()
    const answer = await userinfo(token, { ...(await proofFor()), 'x-fapi-interaction-id': id })
    expect([answer.status, answer.headers['x-fapi-interaction-id']]).toEqual([200, id])
    expect(answer.json.sub).toBe(member.id)
  })
})

describe('FAPI 2.0 Security Profile: what the server says of itself', () => {
  test('section 5.3.2.1 (1): the metadata names what the profile asks for', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    expect(json).toMatchObject({
      pushed_authorization_request_endpoint: `${server.issuer}/par`,
      authorization_response_iss_parameter_supported: true,
      code_challenge_methods_supported: ['S256'],
      id_token_signing_alg_values_supported: expect.arrayContaining(['PS256', 'ES256']),
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining(['PS256', 'ES256']),
      dpop_signing_alg_values_supported: ['ES256', 'PS256', 'EdDSA', 'Ed25519'],
    })
  })

  test('section 5.4.2: no two keys have one identifier, and no RSA key is short', async () => {
    const { json } = await send(`${server.issuer}/jwks`)
    const keys = json.keys as { kid: string; kty: string; n?: string }[]
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length)
    for (const { n } of keys.filter(({ kty }) => kty === 'RSA'))
      expect(Buffer.from(n ?? '', 'base64url').length * 8).toBeGreaterThanOrEqual(2048)
  })
})
