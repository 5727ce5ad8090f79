import { createHash, randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

type Keys = Awaited<ReturnType<typeof generateKeyPair>>

let server: TestApp
let party: RelyingParty
let keys: Keys
let tokens: oidc.TokenEndpointResponse
beforeAll(async () => {
  server = await startTestApp()
  keys = await generateKeyPair('ES256', { extractable: true })
  party = await relyingParty(server, await givenClient(server, { authMethod: 'none' }))
  tokens = await signInBound(keys)
})
afterAll(() => server.close())

async function signInBound(pair: Keys): Promise<oidc.TokenEndpointResponse> {
  const attempt = await begin(party, { scope: 'openid offline_access' })
  const callback = await authorize(party, openBrowser(), await givenMember(server), attempt.url)
  const checks = {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
  }
  const DPoP = oidc.getDPoPHandle(party.config, pair)
  return oidc.authorizationCodeGrant(party.config, callback, checks, undefined, { DPoP })
}

interface Changes {
  payload?: Record<string, unknown>
  header?: Record<string, unknown>
  pair?: Keys
}

/** A good proof for a GET of userinfo, with these changes on top. */
async function prove({ payload = {}, header = {}, pair = keys }: Changes = {}): Promise<string> {
  const ath = createHash('sha256').update(tokens.access_token).digest('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const good = { jti: randomUUID(), htm: 'GET', htu: `${server.issuer}/userinfo`, iat, ath }
  return new SignJWT({ ...good, ...payload })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(pair.publicKey), ...header })
    .sign(pair.privateKey)
}

async function userinfo(proof: string | undefined, scheme = 'DPoP', origin = server.issuer) {
  const authorization = `${scheme} ${tokens.access_token}`
  const headers = { host: new URL(server.issuer).host, authorization, ...(proof && { dpop: proof }) }
  return (await send(`${origin}/userinfo`, { headers })).status
}

describe('RFC 9449: tokens that only their key can use', () => {
  test('section 7.1: a bound token without a proof, or as a bearer token, is refused', async () => {
    expect(tokens.token_type).toBe('dpop')
    expect(await userinfo(undefined, 'Bearer')).toBe(401)
    expect(await userinfo(undefined)).toBeGreaterThanOrEqual(400)
    expect(await userinfo(await prove(), 'Bearer')).toBeGreaterThanOrEqual(400)
  })

  test.each<[string, () => Changes | Promise<Changes>]>([
    ['of another key', async () => ({ pair: await generateKeyPair('ES256') })],
    ['for another method', () => ({ payload: { htm: 'POST' } })],
    ['for another address', () => ({ payload: { htu: `${server.issuer}/token` } })],
    ['for another host', () => ({ payload: { htu: 'https://evil.example/userinfo' } })],
    ['for another token', () => ({ payload: { ath: createHash('sha256').update('x').digest('base64url') } })],
    ['for no token', () => ({ payload: { ath: undefined } })],
    ['from ten minutes ago', () => ({ payload: { iat: Math.floor(Date.now() / 1000) - 600 } })],
    ['from ten minutes ahead', () => ({ payload: { iat: Math.floor(Date.now() / 1000) + 600 } })],
    ['without a jti', () => ({ payload: { jti: undefined } })],
    ['of another type', () => ({ header: { typ: 'JWT' } })],
    ['with the private key in it', async () => ({ header: { jwk: await exportJWK(keys.privateKey) } })],
  ])('section 4.3: a proof %s is refused', async (_, make) => {
    expect(await userinfo(await prove(await make()))).toBe(401)
  })

  test('section 11.1: of 50 uses of one proof at once, at two processes, one is served', async () => {
    const peer = await server.startPeer()
    const proof = await prove()
    const statuses = await Promise.all(
      Array.from({ length: 50 }, (_, i) => userinfo(proof, 'DPoP', i % 2 ? peer.origin : server.issuer)),
    )
    await peer.close()
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    expect(statuses.filter((status) => status === 401)).toHaveLength(49)
  })

  test('section 5: the refresh token of a public client takes the same key', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true })
    const { refresh_token = '' } = await signInBound(pair)
    const using = (DPoP?: oidc.DPoPHandle) =>
      oidc.refreshTokenGrant(party.config, refresh_token, undefined, DPoP ? { DPoP } : {})
    await expect(using()).rejects.toMatchObject({ error: 'invalid_grant' })
    const thief = oidc.getDPoPHandle(party.config, await generateKeyPair('ES256', { extractable: true }))
    await expect(using(thief)).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await using(oidc.getDPoPHandle(party.config, pair))).token_type).toBe('dpop')
  })

  test('section 7: the key uses its token', async () => {
    expect(await userinfo(await prove())).toBe(200)
  })
})
