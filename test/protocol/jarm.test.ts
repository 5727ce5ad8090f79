import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { seconds } from '../support/fapi.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let browser: Browser
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  browser = openBrowser()
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

async function read(response: string | null) {
  const { json } = await send(`${server.issuer}/jwks`)
  return jwtVerify(response ?? '', createLocalJWKSet(json as unknown as JSONWebKeySet))
}

describe('JWT Secured Authorization Response Mode: signed answers', () => {
  test('section 2.3: an answer of another kind than there is is refused', async () => {
    const { headers } = await send((await begin(party, { response_mode: 'encrypted.jwt' })).url)
    const { searchParams } = new URL(String(headers.location))
    expect(searchParams.get('error')).toBe('unsupported_response_mode')
  })

  test.each(['none', 'HS256'])('section 3: a client cannot have answers signed with %s', async (alg) => {
    const client = await givenClient(server, { metadata: { authorization_signed_response_alg: alg } })
    const { status, headers } = await send((await begin({ ...party, ...client })).url)
    expect([status, headers.location]).toEqual([400, undefined])
  })

  test('section 2.4 (1): a relying party refuses an answer that was meant for another', async () => {
    const stranger = await relyingParty(server, await givenClient(server))
    const theirs = await authorize(
      stranger,
      browser,
      member,
      (await begin(stranger, { response_mode: 'jwt' })).url,
    )
    const attempt = await begin(party, { response_mode: 'jwt' })
    const response = theirs.searchParams.get('response') ?? ''
    const callback = new URL(`${party.redirectUri}?${new URLSearchParams({ response })}`)
    await expect(redeem(callback, attempt.codeVerifier, attempt.state)).rejects.toThrow(oidc.ClientError)
  })

  test.each([
    ['jwt', 'search'],
    ['query.jwt', 'search'],
    ['fragment.jwt', 'hash'],
  ] as const)(
    'section 2.2: the error of %s is signed, and nothing stands beside it',
    async (response_mode, part) => {
      const { url, state } = await begin(party, { response_mode, prompt: 'none' })
      const { headers } = await send(url)
      const answer = new URLSearchParams(new URL(String(headers.location))[part].slice(1))
      expect([...answer.keys()]).toEqual(['response'])
      const { payload } = await read(answer.get('response'))
      expect(payload).toMatchObject({ error: 'login_required', state, iss: server.issuer, aud: party.id })
    },
  )

  test('section 2.3.3: form_post.jwt sends it in a form', async () => {
    const { url, state } = await begin(party, { response_mode: 'form_post.jwt', prompt: 'none' })
    const { text } = await send(url, { headers: { accept: 'text/html' } })
    const response = /name="response" value="([^"]+)"/.exec(text)?.[1] ?? ''
    expect((await read(response)).payload).toMatchObject({ error: 'login_required', state })
    expect(text).not.toContain('name="state"')
  })

  test('section 2.1: issuer, audience, a short life, a known signature; from it to tokens', async () => {
    const attempt = await begin(party, { response_mode: 'jwt' })
    const callback = await authorize(party, browser, member, attempt.url)
    const { payload, protectedHeader } = await read(callback.searchParams.get('response'))
    expect(protectedHeader.alg).toBe('ES256')
    expect(payload).toMatchObject({ iss: server.issuer, aud: party.id, code: expect.any(String) })
    expect((payload.exp ?? 0) - seconds()).toBeLessThanOrEqual(600)
    const tokens = await redeem(callback, attempt.codeVerifier, attempt.state, attempt.nonce)
    expect(tokens.claims()?.sub).toBe(member.id)
  })

  test('section 4: the metadata says so', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    expect(json.response_modes_supported).toEqual(
      expect.arrayContaining(['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt']),
    )
    expect(json.authorization_signing_alg_values_supported).toEqual(
      expect.arrayContaining(['ES256', 'PS256']),
    )
  })
})

/** As openid-client does it, which checks the signed answer first. */
async function redeem(
  callback: URL,
  pkceCodeVerifier: string,
  expectedState: string,
  expectedNonce?: string,
) {
  const metadata = { authorization_signed_response_alg: 'ES256' }
  const { config } = await relyingParty(server, party, oidc.ClientSecretBasic(party.secret), metadata)
  oidc.useJwtResponseMode(config)
  const checks = { pkceCodeVerifier, expectedState, ...(expectedNonce && { expectedNonce }) }
  return oidc.authorizationCodeGrant(config, callback, checks)
}
