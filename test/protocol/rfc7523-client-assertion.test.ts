import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember } from '../support/given.ts'
import { post } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

type Keys = Awaited<ReturnType<typeof generateKeyPair>>

let server: TestApp
let client: GivenClient
let keys: Keys
let otherKeys: Keys
beforeAll(async () => {
  server = await startTestApp()
  keys = await generateKeyPair('ES256', { extractable: true })
  otherKeys = await generateKeyPair('ES256')
  client = await givenClient(server, {
    authMethod: 'private_key_jwt',
    jwks: { keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256', use: 'sig' }] },
  })
})
afterAll(() => server.close())

const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset

/** What a good assertion says; changes go on top, undefined leaves a claim out. */
const claims = (changes: Record<string, unknown> = {}) => ({
  iss: client.id,
  sub: client.id,
  aud: server.issuer,
  jti: randomUUID(),
  iat: seconds(),
  exp: seconds(60),
  ...changes,
})

const sign = (payload: object, key = keys.privateKey) =>
  new SignJWT({ ...payload }).setProtectedHeader({ alg: 'ES256' }).sign(key)

/** Asks something that needs nothing but to be the client. */
function authenticate(assertion: string, origin = server.issuer) {
  const form = {
    client_id: client.id,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
    token: 'nobody gave this one',
  }
  return post(server, '/introspect', form, { origin })
}

describe('RFC 7523 section 3: a client proves itself with an assertion', () => {
  test.each<[string, () => Promise<string>, string?]>([
    ['for another audience', () => sign(claims({ aud: 'https://other.example.com' }))],
    [
      'for another audience besides',
      () => sign(claims({ aud: [server.issuer, 'https://other.example.com'] })),
    ],
    ['for no audience', () => sign(claims({ aud: undefined }))],
    ['that has expired', () => sign(claims({ iat: seconds(-120), exp: seconds(-60) }))],
    ['that never expires', () => sign(claims({ exp: undefined }))],
    ['from the future', () => sign(claims({ nbf: seconds(300), exp: seconds(360) }))],
    ['without a jti', () => sign(claims({ jti: undefined }))],
    ['of another issuer', () => sign(claims({ iss: 'other-client' }))],
    ['about another client', () => sign(claims({ sub: 'other-client' })), 'invalid_request'],
    ['signed with a key that is not registered', () => sign(claims(), otherKeys.privateKey)],
    ['that is not signed', async () => new UnsecuredJWT(claims()).encode()],
    [
      'signed with the public key as a secret',
      async () =>
        new SignJWT(claims())
          .setProtectedHeader({ alg: 'HS256' })
          .sign(Buffer.from(JSON.stringify(await exportJWK(keys.publicKey)))),
    ],
    ['that is no token', async () => 'a.b.c', 'invalid_request'],
  ])('one %s is refused', async (_, make, error = 'invalid_client') => {
    const answer = await authenticate(await make())
    expect(answer.json).toMatchObject({ error })
    expect(answer.status).toBe(error === 'invalid_client' ? 401 : 400)
  })

  test('a client that has a key cannot do without', async () => {
    const form = { client_id: client.id, token: 'nobody gave this one' }
    const answer = await post(server, '/introspect', form)
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  test('section 3 (7): an assertion used a second time is refused', async () => {
    const assertion = await sign(claims())
    expect((await authenticate(assertion)).status).toBe(200)
    expect((await authenticate(assertion)).status).toBe(401)
  })

  test('of 50 uses of one assertion at once, at two processes, one succeeds', async () => {
    const peer = await server.startPeer()
    const assertion = await sign(claims())
    const origins = [server.issuer, peer.origin]
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => authenticate(assertion, origins[i % 2])),
    )
    await peer.close()
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(49)
  })

  test('a jti that one client has used is still free for another', async () => {
    const jti = randomUUID()
    const stranger = await givenClient(server, {
      authMethod: 'private_key_jwt',
      jwks: { keys: [{ ...(await exportJWK(otherKeys.publicKey)), alg: 'ES256', use: 'sig' }] },
    })
    const theirs = await sign(claims({ jti, iss: stranger.id, sub: stranger.id }), otherKeys.privateKey)
    const form = {
      client_id: stranger.id,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: theirs,
      token: 'nobody gave this one',
    }
    expect((await post(server, '/introspect', form)).status).toBe(200)
    expect((await authenticate(await sign(claims({ jti })))).status).toBe(200)
  })

  test('OpenID Connect Core section 9: a relying party with private_key_jwt signs members in', async () => {
    const member = await givenMember(server)
    const party = await relyingParty(server, client, oidc.PrivateKeyJwt(keys.privateKey))
    const tokens = await signIn(party, openBrowser(), member)
    expect(tokens.claims()?.sub).toBe(member.id)
  })
})
