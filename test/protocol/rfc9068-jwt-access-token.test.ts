import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember, givenResource } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let api: string
let other: string
let member: GivenMember
let party: RelyingParty
let token: string
beforeAll(async () => {
  server = await startTestApp()
  api = await givenResource(server)
  other = await givenResource(server)
  member = await givenMember(server)
  const client = await givenClient(server, { resources: [{ id: api }, { id: other }] })
  party = await relyingParty(server, client)
  token = String((await signIn()).access_token)
})
afterAll(() => server.close())

async function signIn(): Promise<Record<string, unknown>> {
  const attempt = await begin(party, { resource: api, scope: 'openid orders:read' })
  const callback = await authorize(party, openBrowser(), member, attempt.url)
  const form = {
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    redirect_uri: party.redirectUri,
    code_verifier: attempt.codeVerifier,
    resource: api,
  }
  return (await post(server, '/token', form, { client: party })).json
}

const machineToken = async (form: object = {}, input: object = {}) => {
  const client = await givenClient(server, { profile: 'machine', resources: [{ id: api }], ...input })
  const answer = await post(server, '/token', { grant_type: 'client_credentials', ...form }, { client })
  return { client, ...answer }
}

/** What the API's server does with a token (section 4). */
async function verify(accessToken: string, audience = api) {
  const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
  const rules = { issuer: server.issuer, audience, typ: 'at+jwt', algorithms: ['ES256'], clockTolerance: 0 }
  return (await jwtVerify(accessToken, keys, rules)).payload
}

describe('RFC 9068: access tokens that an API verifies itself', () => {
  test('section 4: a token for another API is refused there', async () => {
    await expect(verify(token, other)).rejects.toMatchObject({ claim: 'aud' })
  })

  test('section 4: an ID token is no access token', async () => {
    const { id_token: idToken } = await signIn()
    await expect(verify(String(idToken), party.id)).rejects.toMatchObject({ claim: 'typ' })
  })

  test('section 4: what was changed on the way is refused', async () => {
    const [header, , signature] = token.split('.')
    const claims = { ...decodeJwt(token), scope: 'orders:read orders:write' }
    const changed = [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
    await expect(verify(changed)).rejects.toMatchObject({ code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  })

  test('it is of no use at userinfo, whose audience it does not name', async () => {
    const headers = { authorization: `Bearer ${token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
  })

  test('lives ten minutes at most, whatever is stored', async () => {
    const long = await givenResource(server)
    await server.db.resource.update({ where: { id: long }, data: { tokenTtl: 86_400 } })
    const { json } = await machineToken({}, { resources: [{ id: long }] })
    expect(json.expires_in).toBe(600)
    const { iat = 0, exp = 0 } = decodeJwt(String(json.access_token))
    expect(exp - iat).toBe(600)
    const { iat: begun = 0, exp: end = 0 } = decodeJwt(token)
    expect(end - begun).toBe(600)
  })

  test('lives as long as its resource says when that is less', async () => {
    const short = await givenResource(server, { tokenTtl: 60 })
    const { json } = await machineToken({}, { resources: [{ id: short }] })
    const { iat = 0, exp = 0 } = decodeJwt(String(json.access_token))
    expect([json.expires_in, exp - iat]).toEqual([60, 60])
  })

  test('section 2.1: is typed, and signed with a published key', async () => {
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.any(String) })
    await expect(verify(token)).resolves.toBeDefined()
  })

  test('section 2.2: says who issued it to whom, about whom, for what, and when the member signed in', async () => {
    const claims = await verify(token)
    expect(claims).toMatchObject({
      iss: server.issuer,
      sub: member.id,
      aud: api,
      client_id: party.id,
      scope: 'orders:read',
    })
    expect(claims.jti).toMatch(/^[\w-]{21,}$/)
    // Section 2.2.1
    expect(claims.auth_time).toBeLessThanOrEqual(claims.iat ?? 0)
    expect(Object.keys(claims).filter((name) => ['email', 'name', 'sid'].includes(name))).toEqual([])
  })

  test('section 2.2: each has an id of its own', async () => {
    const [first, second] = await Promise.all([machineToken(), machineToken()])
    const ids = [first, second].map(({ json }) => decodeJwt(String(json.access_token)).jti)
    expect(new Set(ids).size).toBe(2)
  })

  test('section 2.2: without a member, the subject is the client', async () => {
    const { client, json } = await machineToken({ scope: 'orders:write' })
    const claims = await verify(String(json.access_token))
    expect(claims).toMatchObject({ sub: client.id, client_id: client.id, scope: 'orders:write' })
    expect(claims).not.toHaveProperty('auth_time')
  })

  test('RFC 9449 section 6.1: one that was asked for with a proof names its key', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const iat = Math.floor(Date.now() / 1000)
    const proof = await new SignJWT({
      jti: crypto.randomUUID(),
      htm: 'POST',
      htu: `${server.issuer}/token`,
      iat,
    })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await exportJWK(publicKey) })
      .sign(privateKey)
    const { id, secret } = await givenClient(server, { profile: 'machine', resources: [{ id: api }] })
    const { json } = await send(`${server.issuer}/token`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
        dpop: proof,
      },
      body: 'grant_type=client_credentials',
    })
    expect(json.token_type).toBe('DPoP')
    expect((await verify(String(json.access_token))).cnf).toEqual({
      jkt: expect.stringMatching(/^[\w-]{43}$/),
    })
  })
})
