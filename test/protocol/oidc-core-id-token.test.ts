import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import {
  authorize,
  begin,
  type RelyingParty,
  redeem,
  relyingParty,
  signIn,
} from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

describe('OpenID Connect Core 1.0 section 2: the ID token', () => {
  test('it is for one client, of this issuer, about the member, and over in an hour', async () => {
    const before = Math.floor(Date.now() / 1000)
    const claims = (await signIn(party, openBrowser(), member)).claims()
    expect(claims).toMatchObject({ iss: server.issuer, aud: party.id, sub: member.id })
    expect(claims?.iat).toBeGreaterThanOrEqual(before)
    expect((claims?.exp ?? 0) - (claims?.iat ?? 0)).toBe(3600)
  })

  test('section 5.7: a member is the same subject at every client', async () => {
    const other = await relyingParty(server, await givenClient(server))
    const subjects = [
      (await signIn(party, openBrowser(), member)).claims()?.sub,
      (await signIn(other, openBrowser(), member)).claims()?.sub,
    ]
    expect(subjects).toEqual([member.id, member.id])
  })

  test('section 3.1.3.7 (11): the nonce is that of the request, which a token of another request has not', async () => {
    const [attempt, another] = [await begin(party), await begin(party)]
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    await expect(redeem(party, callback, { ...attempt, nonce: another.nonce })).rejects.toThrow(
      oidc.ClientError,
    )
    const again = await authorize(party, openBrowser(), member, another.url)
    expect((await redeem(party, again, another)).claims()?.nonce).toBe(another.nonce)
  })

  test.each([
    [{ acr_values: 'urn:example:gold' }, 'urn:hitotsu:acr:1fa'],
    [{ ui_locales: 'ja' }, undefined],
    [{}, undefined],
  ])(
    'without max_age, %j brings no auth_time, and acr only when it was asked for',
    async (parameters, acr) => {
      const claims = (await signIn(party, openBrowser(), member, parameters)).claims()
      expect(claims).not.toHaveProperty('auth_time')
      expect(claims?.acr).toBe(acr)
    },
  )

  test('with max_age, auth_time is when the member proved who they are, also from a session', async () => {
    const browser = openBrowser()
    const first = (await signIn(party, browser, member, { max_age: '300' })).claims()
    expect(first?.auth_time).toBeLessThanOrEqual(first?.iat ?? 0)
    const second = (await signIn(party, browser, member, { max_age: '300' })).claims()
    expect(second?.auth_time).toBe(first?.auth_time)
  })

  test('section 15.1: ES256 signs, unless a client asks for RS256; either key is published', async () => {
    const rs256 = await givenClient(server, { idTokenSigningAlg: 'RS256' })
    const asking = await relyingParty(server, rs256, undefined, { id_token_signed_response_alg: 'RS256' })
    const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
    for (const [relying, alg] of [
      [party, 'ES256'],
      [asking, 'RS256'],
    ] as const) {
      const { id_token = '' } = await signIn(relying, openBrowser(), member)
      expect(decodeProtectedHeader(id_token)).toMatchObject({ alg, kid: expect.any(String) })
      const { payload } = await jwtVerify(id_token, keys, { issuer: server.issuer, audience: relying.id })
      expect(payload.sub).toBe(member.id)
    }
  })
})
