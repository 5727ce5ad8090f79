import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Peer, startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import {
  dpopProof,
  givenFapiClient,
  type KeyPair,
  newKeys,
  pushForm,
  requestOf,
  seconds,
} from '../support/fapi.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { type Attempt, authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

interface Place {
  server: TestApp
  party: RelyingParty
  member: GivenMember
  browser: Browser
}

let server: TestApp
let peer: Peer
let place: Place
let keys: KeyPair
let tokens: oidc.TokenEndpointResponse
beforeAll(async () => {
  server = await startTestApp()
  peer = await server.startPeer()
  place = await openPlace(server)
  keys = await newKeys()
  tokens = await signInBound(place, keys, { scope: 'openid offline_access' })
})
afterAll(async () => {
  await peer.close()
  await server.close()
})

async function openPlace(at: TestApp, metadata: Record<string, unknown> = {}): Promise<Place> {
  const party = await relyingParty(at, await givenClient(at, { authMethod: 'none', metadata }))
  return { server: at, party, member: await givenMember(at), browser: openBrowser() }
}

async function obtainCode({ party, browser, member }: Place, parameters: Record<string, string> = {}) {
  const attempt = await begin(party, parameters)
  return { attempt, callback: await authorize(party, browser, member, attempt.url) }
}

function redeem(
  { party }: Place,
  { attempt, callback }: { attempt: Attempt; callback: URL },
  pair: KeyPair | undefined,
): Promise<oidc.TokenEndpointResponse> {
  const checks = {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
  }
  const options = pair ? { DPoP: oidc.getDPoPHandle(party.config, pair) } : {}
  return oidc.authorizationCodeGrant(party.config, callback, checks, undefined, options)
}

const signInBound = async (at: Place, pair: KeyPair, parameters: Record<string, string> = {}) =>
  redeem(at, await obtainCode(at, parameters), pair)

interface Changes {
  payload?: Record<string, unknown>
  header?: Record<string, unknown>
  pair?: KeyPair
  token?: string
}

/** A good proof for a GET of userinfo, with these changes on top. */
function prove({ pair = keys, token = tokens.access_token, ...changes }: Changes = {}): Promise<string> {
  return dpopProof(pair, { htm: 'GET', htu: `${server.issuer}/userinfo`, token }, changes)
}

function ask(
  proof: string | undefined,
  { token = tokens.access_token, scheme = 'DPoP', origin = server.issuer } = {},
) {
  const host = new URL(server.issuer).host
  const headers = { host, authorization: `${scheme} ${token}`, ...(proof && { dpop: proof }) }
  return send(`${origin}/userinfo`, { headers })
}

const userinfo = async (proof: string | undefined, options: Parameters<typeof ask>[1] = {}) =>
  (await ask(proof, options)).status

describe('RFC 9449: tokens that only their key can use', () => {
  test('section 7.1: a bound token without a proof, or as a bearer token, is refused', async () => {
    expect(tokens.token_type).toBe('dpop')
    expect(await userinfo(undefined, { scheme: 'Bearer' })).toBe(401)
    expect(await userinfo(undefined)).toBeGreaterThanOrEqual(400)
    expect(await userinfo(await prove(), { scheme: 'Bearer' })).toBeGreaterThanOrEqual(400)
  })

  test.each<[string, () => Changes | Promise<Changes>]>([
    ['of another key', async () => ({ pair: await generateKeyPair('ES256') })],
    ['for another method', () => ({ payload: { htm: 'POST' } })],
    ['for another address', () => ({ payload: { htu: `${server.issuer}/token` } })],
    ['for another host', () => ({ payload: { htu: 'https://evil.example/userinfo' } })],
    ['for another token', () => ({ payload: { ath: createHash('sha256').update('x').digest('base64url') } })],
    ['for no token', () => ({ payload: { ath: undefined } })],
    ['from 70 seconds ago', () => ({ payload: { iat: seconds(-70) } })],
    ['from 70 seconds ahead', () => ({ payload: { iat: seconds(70) } })],
    ['from ten minutes ahead', () => ({ payload: { iat: seconds(600) } })],
    ['without a moment', () => ({ payload: { iat: undefined } })],
    ['whose moment is text', () => ({ payload: { iat: String(seconds()) } })],
    ['without a jti', () => ({ payload: { jti: undefined } })],
    ['of another type', () => ({ header: { typ: 'JWT' } })],
    ['with the private key in it', async () => ({ header: { jwk: await exportJWK(keys.privateKey) } })],
    ['without a key in it', () => ({ header: { jwk: undefined } })],
  ])('section 4.3: a proof %s is refused', async (_, make) => {
    expect(await userinfo(await prove(await make()))).toBe(401)
  })

  test.each(['a proof', 'a.b.c', '.', 'e30.e30.'])(
    'section 4.3: %s that is none is refused',
    async (proof) => {
      expect(await userinfo(proof)).toBe(401)
    },
  )

  test('section 11.1: of 50 uses of one proof at once, at two processes, one is served', async () => {
    const proof = await prove()
    const statuses = await Promise.all(
      Array.from({ length: 50 }, (_, i) => userinfo(proof, { origin: i % 2 ? peer.origin : server.issuer })),
    )
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    expect(statuses.filter((status) => status === 401)).toHaveLength(49)
  })

  test("section 11.1: nobody uses up a jti of somebody else's key", async () => {
    const rival = await newKeys()
    const { access_token: token } = await signInBound(place, rival)
    const payload = { jti: randomUUID() }
    expect(await userinfo(await prove({ pair: rival, token, payload }), { token })).toBe(200)
    expect(await userinfo(await prove({ payload }))).toBe(200)
    expect(await userinfo(await prove({ payload }))).toBe(401)
  })

  test('section 11.1: an assertion and a proof of one call may have one jti', async () => {
    const client = await givenFapiClient(server)
    const payload = { jti: randomUUID() }
    const dpop = await dpopProof(client.proofKeys, { htm: 'POST', htu: `${server.issuer}/par` }, { payload })
    const answer = await pushForm(server, client, await requestOf(client), { payload }, { dpop })
    expect(answer.status).toBe(201)
    expect((await pushForm(server, client, await requestOf(client), { payload })).status).toBe(401)
    const again = await pushForm(server, client, await requestOf(client), {}, { dpop })
    expect([again.status, again.json.error]).toEqual([400, 'invalid_request'])
  })

  test('section 11.1: a proof from ahead is remembered for as long as it could be used', async () => {
    const other = await startTestApp({ inProcessStore: true })
    onTestFinished(() => other.close())
    const pair = await newKeys()
    const { access_token: token } = await signInBound(await openPlace(other), pair)
    const call = { htm: 'GET', htu: `${other.issuer}/userinfo`, token }
    const headers = {
      authorization: `DPoP ${token}`,
      dpop: await dpopProof(pair, call, { payload: { iat: seconds(58) } }),
    }
    expect((await send(call.htu, { headers })).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 116_000 })
    onTestFinished(() => void vi.useRealTimers())
    const again = await send(call.htu, { headers })
    // Not that it is too old: that would be use_dpop_nonce.
    expect([again.status, again.json.error]).toEqual([401, 'invalid_token'])
  })

  test('section 5: the refresh token of a public client takes the same key', async () => {
    const { party } = place
    const using = (pair?: KeyPair) =>
      oidc.refreshTokenGrant(party.config, tokens.refresh_token ?? '', undefined, {
        ...(pair && { DPoP: oidc.getDPoPHandle(party.config, pair) }),
      })
    await expect(using()).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(using(await newKeys())).rejects.toMatchObject({ error: 'invalid_grant' })
    expect((await using(keys)).token_type).toBe('dpop')
  })

  test('section 10: a code asked for with dpop_jkt is for that key alone', async () => {
    const dpop_jkt = await calculateJwkThumbprint(await exportJWK(keys.publicKey))
    for (const pair of [undefined, await newKeys()]) {
      const stolen = await obtainCode(place, { dpop_jkt })
      await expect(redeem(place, stolen, pair)).rejects.toMatchObject({ error: 'invalid_grant' })
    }
    expect((await redeem(place, await obtainCode(place, { dpop_jkt }), keys)).token_type).toBe('dpop')
  })

  test('section 10.1: a proof of one key and dpop_jkt of another are refused when pushed', async () => {
    const client = await givenFapiClient(server)
    const dpop_jkt = await calculateJwkThumbprint(await exportJWK(keys.publicKey))
    const dpop = await dpopProof(client.proofKeys, { htm: 'POST', htu: `${server.issuer}/par` })
    const answer = await pushForm(server, client, await requestOf(client, { dpop_jkt }), {}, { dpop })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test.each([
    ['PS256', 'PS256'],
    ['Ed25519', 'Ed25519'],
    ['Ed25519', 'EdDSA'],
  ])('section 7: a key of %s with %s uses its token', async (kind, alg) => {
    const pair = await newKeys(kind)
    const { access_token: token } = await signInBound(place, pair)
    expect(await userinfo(await prove({ pair, token, header: { alg } }), { token })).toBe(200)
  })

  test('section 7: the key uses its token', async () => {
    expect(await userinfo(await prove())).toBe(200)
  })
})

describe('RFC 9449 section 8: nonces of the server', () => {
  let strict: Place
  let pair: KeyPair
  let token: string
  beforeAll(async () => {
    strict = await openPlace(server, { require_dpop_nonce: true })
    pair = await newKeys()
    token = (await signInBound(strict, pair)).access_token
  })

  const askWith = async (nonce: unknown, origin = server.issuer) =>
    ask(await prove({ pair, token, payload: { nonce } }), { token, origin })

  test('a client that needs one gets no token without, and keeps its code', async () => {
    const { attempt, callback } = await obtainCode(strict)
    const form = {
      grant_type: 'authorization_code',
      client_id: strict.party.id,
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: strict.party.redirectUri,
      code_verifier: attempt.codeVerifier,
    }
    const call = { htm: 'POST', htu: `${server.issuer}/token` }
    const exchange = async (nonce?: unknown) => {
      const dpop = await dpopProof(pair, call, { payload: { nonce } })
      return post(server, '/token', form, { headers: { dpop } })
    }
    const refused = await exchange()
    expect([refused.status, refused.json.error]).toEqual([400, 'use_dpop_nonce'])
    expect((await exchange('made-up')).json.error).toBe('use_dpop_nonce')
    expect((await exchange(refused.headers['dpop-nonce'])).status).toBe(200)
  })

  test.each([
    ['no nonce', undefined],
    ['a made-up nonce', randomBytes(32).toString('base64url')],
  ])('section 9: a resource refuses its token with %s, and says which to use', async (_, nonce) => {
    const answer = await askWith(nonce)
    expect([answer.status, answer.json.error]).toEqual([401, 'use_dpop_nonce'])
    expect(answer.headers['www-authenticate']).toMatch(/^DPoP .*error="use_dpop_nonce"/)
    expect((await askWith(answer.headers['dpop-nonce'])).status).toBe(200)
  })

  test('a nonce is no identifier: its proof is used once all the same', async () => {
    const nonce = (await askWith(undefined)).headers['dpop-nonce']
    const proof = await prove({ pair, token, payload: { nonce } })
    expect(await userinfo(proof, { token })).toBe(200)
    expect(await userinfo(proof, { token })).toBe(401)
  })

  test('a nonce of five minutes ago leads to one of now', async () => {
    const nonce = (await askWith(undefined)).headers['dpop-nonce']
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 300_000 })
    onTestFinished(() => void vi.useRealTimers())
    const answer = await askWith(nonce)
    expect([answer.status, answer.json.error]).toEqual([401, 'use_dpop_nonce'])
    expect((await askWith(answer.headers['dpop-nonce'])).status).toBe(200)
  })

  test('a nonce from before the cookie keys changed leads to one of the new key', async () => {
    const nonce = (await askWith(undefined)).headers['dpop-nonce']
    const COOKIE_KEYS = [randomBytes(32).toString('hex'), ...server.config.COOKIE_KEYS]
    const renewed = await server.startPeer({ config: { ...server.config, COOKIE_KEYS } })
    onTestFinished(() => renewed.close())
    const answer = await askWith(nonce, renewed.origin)
    expect([answer.status, answer.json.error]).toEqual([401, 'use_dpop_nonce'])
    expect((await askWith(answer.headers['dpop-nonce'], renewed.origin)).status).toBe(200)
  })

  test('a nonce that one process gave is good at another', async () => {
    const nonce = (await askWith(undefined, peer.origin)).headers['dpop-nonce']
    expect((await askWith(nonce)).status).toBe(200)
  })

  test('section 11.1: any client whose clock is off proves the moment with a nonce', async () => {
    const payload = { iat: seconds(-3600) }
    const answer = await ask(await prove({ payload }))
    expect([answer.status, answer.json.error]).toEqual([401, 'use_dpop_nonce'])
    const nonce = answer.headers['dpop-nonce']
    expect(await userinfo(await prove({ payload: { ...payload, nonce } }))).toBe(200)
  })
})
