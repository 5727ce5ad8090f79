import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify, UnsecuredJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import {
  type Changes,
  type FapiClient,
  givenFapiClient,
  type KeyPair,
  newKeys,
  publicKeys,
  pushForm,
  requestObject,
  requestOf,
  seconds,
} from '../support/fapi.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { type Attempt, authorize, begin, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let browser: Browser
let party: FapiClient
let rsa: KeyPair
/** The same client, reading signed answers. */
let answers: oidc.Configuration
const metadata = {
  require_signed_request_object: true,
  authorization_signed_response_alg: 'PS256',
  response_modes: ['jwt', 'query.jwt', 'form_post.jwt'],
}
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  browser = openBrowser()
  rsa = await newKeys('RS256')
  const keys = await newKeys()
  party = await givenFapiClient(server, {
    keys,
    jwks: await publicKeys([keys, 'ES256'], [rsa, 'RS256']),
    metadata,
  })
  // From here on it asks for `jwt` alone, so requests go out through the other.
  answers = (await relyingParty(server, party, oidc.PrivateKeyJwt(party.keys.privateKey), metadata)).config
  oidc.useJwtResponseMode(answers)
})
afterAll(() => server.close())

/** Pushes a signed request that has these changes, as nothing but itself. */
async function pushSigned(
  changes: Changes = {},
  parameters: Record<string, string> = { response_mode: 'jwt' },
) {
  const request = await requestObject(server, party, await requestOf(party, parameters), changes)
  return pushForm(server, party, { request })
}

/** As openid-client does it: signed, then pushed. */
async function push(parameters: Record<string, string> = {}): Promise<Attempt> {
  const attempt = await begin(party, parameters)
  const request = Object.fromEntries(attempt.url.searchParams)
  const signed = await oidc.buildAuthorizationUrlWithJAR(party.config, request, party.keys.privateKey)
  const url = await oidc.buildAuthorizationUrlWithPAR(party.config, signed.searchParams, { DPoP: party.DPoP })
  return { ...attempt, url }
}

/** What a signed answer says, after its signature was checked against our keys. */
async function readAnswer(response: string | null) {
  const { json } = await send(`${server.issuer}/jwks`)
  return jwtVerify(response ?? '', createLocalJWKSet(json as unknown as JSONWebKeySet))
}

const hour = 3600

describe('FAPI 2.0 Message Signing section 5.3.1: authorization requests are signed', () => {
  test('one that is not is refused', async () => {
    const answer = await pushForm(server, party, await requestOf(party))
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('one that only looks so is refused', async () => {
    const claims = { ...(await requestOf(party)), iss: party.id, aud: server.issuer }
    const request = new UnsecuredJWT({ ...claims, nbf: seconds(), exp: seconds(60) }).encode()
    const answer = await pushForm(server, party, { request })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request_object'])
  })

  test('one that was not pushed is refused', async () => {
    const request = await requestObject(server, party, await requestOf(party))
    const url = `${server.issuer}/authorize?${new URLSearchParams({ client_id: party.id, request })}`
    const { status, text } = await send(url, { headers: { accept: 'text/html' } })
    expect([status, text.includes('invalid_request')]).toEqual([400, true])
  })

  test.each<[string, () => Changes]>([
    ['signed with RS256', () => ({ header: { alg: 'RS256' }, pair: rsa })],
    ['without an audience', () => ({ payload: { aud: undefined } })],
    ['for another audience', () => ({ payload: { aud: `${server.issuer}/par` } })],
    ['of another client', () => ({ payload: { iss: 'another-client' } })],
    ['for another client', () => ({ payload: { client_id: 'another-client' } })],
    ['for no client', () => ({ payload: { client_id: undefined } })],
    ['that never expires', () => ({ payload: { exp: undefined } })],
    ['that has expired', () => ({ payload: { exp: seconds(-1) } })],
    ['without a beginning', () => ({ payload: { nbf: undefined } })],
    ['that begins in 70 seconds', () => ({ payload: { nbf: seconds(70), exp: seconds(130) } })],
    ['made in 70 seconds', () => ({ payload: { iat: seconds(70), exp: seconds(130) } })],
    ['that began more than an hour ago', () => ({ payload: { nbf: seconds(-hour - 60) } })],
    ['that lives for more than an hour', () => ({ payload: { exp: seconds(hour + 60) } })],
  ])('one %s is refused', async (_, make) => {
    const answer = await pushSigned(make())
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request_object'])
  })

  test('one signed with another key is refused', async () => {
    const answer = await pushSigned({ pair: await newKeys() })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request_object'])
  })

  test.each<[string, () => JWTPayload]>([
    ['that begins in 8 seconds', () => ({ nbf: seconds(8) })],
    ['that lives for an hour', () => ({ exp: seconds(hour) })],
    ['with the issuer in a list', () => ({ aud: [server.issuer] })],
  ])('one %s is taken', async (_, make) => {
    expect((await pushSigned({ payload: make() })).status).toBe(201)
  })

  test('RFC 9126 section 3: what stands beside it is not asked for', async () => {
    const request = await requestObject(server, party, await requestOf(party, { response_mode: 'jwt' }))
    const beside = { request, scope: 'openid email', redirect_uri: 'https://evil.example/' }
    expect((await pushForm(server, party, beside)).status).toBe(201)
  })
})

describe('FAPI 2.0 Message Signing section 5.4: answers are signed', () => {
  test('a client that asks for signed answers alone gets no other', async () => {
    const answer = await pushSigned({}, { response_mode: 'query' })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('a refusal is signed as well', async () => {
    const { url, state } = await push({ prompt: 'none', response_mode: 'jwt' })
    const { headers } = await send(url)
    const { searchParams } = new URL(String(headers.location))
    expect([...searchParams.keys()]).toEqual(['response'])
    const { payload } = await readAnswer(searchParams.get('response'))
    expect(payload).toMatchObject({ error: 'login_required', state, iss: server.issuer, aud: party.id })
  })

  test.each(['jwt', 'query.jwt'])('%s: from a signed request to tokens', async (response_mode) => {
    const attempt = await push({ response_mode })
    const callback = await authorize(party, browser, member, attempt.url)
    expect([...callback.searchParams.keys()]).toEqual(['response'])
    const { payload, protectedHeader } = await readAnswer(callback.searchParams.get('response'))
    expect(protectedHeader.alg).toBe('PS256')
    expect(payload).toMatchObject({ iss: server.issuer, aud: party.id, state: attempt.state })
    expect((payload.exp ?? 0) - seconds()).toBeLessThanOrEqual(600)
    const checks = {
      pkceCodeVerifier: attempt.codeVerifier,
      expectedState: attempt.state,
      expectedNonce: attempt.nonce,
    }
    const options = { DPoP: party.DPoP }
    const tokens = await oidc.authorizationCodeGrant(answers, callback, checks, undefined, options)
    expect(tokens.claims()?.sub).toBe(member.id)
  })

  test('form_post.jwt: the answer is in the form, and nothing else', async () => {
    const { url } = await push({ response_mode: 'form_post.jwt' })
    const page = await browser.open(url)
    const names = [...page.html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]+)">/g)]
    const response = names.find(([, name]) => name === 'response')?.[2] ?? ''
    const { payload } = await readAnswer(response)
    expect(payload).toMatchObject({ iss: server.issuer, aud: party.id, code: expect.any(String) })
  })
})
