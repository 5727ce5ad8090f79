import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  call,
  callbackUrl,
  challenge,
  exchange,
  logIn,
  loginChannelId,
  loginChannelOf,
  obtainTokens,
  startSimulator,
  verifier,
} from '../support/line-simulator.ts'

let line: LineSimulator

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(async () => {
  line.simulator.state = await createState(defaultSeed([callbackUrl]))
})
afterAll(() => line.close())

const day = 86_400_000
const advance = (milliseconds: number) => {
  line.simulator.state.clockOffsetMs += milliseconds
}
const secret = () => new TextEncoder().encode(loginChannelOf(line).secret)
const client = () => ({ client_id: loginChannelId, client_secret: loginChannelOf(line).secret })
const codeOf = (callback: URL) => callback.searchParams.get('code') ?? ''
const basic = (id: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`,
})

describe('LINE token endpoint', () => {
  test.each([
    [
      'another redirect address',
      { redirect_uri: `${callbackUrl}?x` },
      'invalid_grant',
      'redirect_uri does not match',
    ],
    ['a wrong secret', { client_secret: 'wrong' }, 'invalid_client', 'invalid client_secret'],
    ['an unknown channel', { client_id: '999' }, 'invalid_client', 'invalid client_id'],
    ['a wrong verifier', { code_verifier: 'x'.repeat(43) }, 'invalid_grant', 'invalid code_verifier'],
    ['no verifier', {}, 'invalid_request', "'code_verifier' is not specified."],
  ])('refuses %s, and the code is spent', async (_, fields, error, description) => {
    const code = codeOf(
      await logIn(line, { params: { code_challenge: challenge, code_challenge_method: 'S256' } }),
    )
    const answer = await exchange(line, code, fields)
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual({ error, error_description: description })
    const retry = await exchange(line, code, { code_verifier: verifier })
    expect(retry.body).toMatchObject({ error: 'invalid_grant' })
  })

  test.each([
    ['an unknown grant type', { grant_type: 'password' }, 'unsupported_grant_type'],
    ['no grant type', {}, 'invalid_request'],
    ['no code', { grant_type: 'authorization_code' }, 'invalid_request'],
  ])('refuses %s', async (_, form, error) => {
    expect(await call(line, '/oauth2/v2.1/token', { form })).toMatchObject({ status: 400, body: { error } })
  })

  test('refuses a code after ten minutes', async () => {
    const code = codeOf(await logIn(line))
    advance(600_000)
    expect((await exchange(line, code)).body).toMatchObject({ error: 'invalid_grant' })
  })

  test('answers as documented, with a request id and without e-mail in the scope', async () => {
    const options = { params: { scope: 'openid profile email' }, consent: { email: 'on' } }
    const answer = await exchange(line, codeOf(await logIn(line, options)))
    expect(answer.headers.get('x-line-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(answer.body).toEqual({
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: 'Bearer',
      refresh_token: expect.any(String),
      expires_in: 2_592_000,
      scope: 'openid profile',
      id_token: expect.any(String),
    })
  })

  test('gives no ID token without openid', async () => {
    expect(await obtainTokens(line, { params: { scope: 'profile' } })).not.toHaveProperty('id_token')
  })

  test.each([
    ['body', 200, 400],
    ['basic', 400, 200],
    ['both', 200, 200],
  ] as const)(
    'client authentication switch %s: body %i, Basic %i',
    async (clientAuth, bodyStatus, basicStatus) => {
      line.simulator.state.settings.clientAuth = clientAuth
      expect((await exchange(line, codeOf(await logIn(line)))).status).toBe(bodyStatus)
      const form = {
        grant_type: 'authorization_code',
        code: codeOf(await logIn(line)),
        redirect_uri: callbackUrl,
      }
      const headers = basic(loginChannelId, loginChannelOf(line).secret)
      expect((await call(line, '/oauth2/v2.1/token', { form, headers })).status).toBe(basicStatus)
    },
  )
})

describe('LINE ID token', () => {
  test('is HS256 under the channel secret, with the documented claims', async () => {
    const params = { scope: 'openid profile email', nonce: 'nonce-1', max_age: '300' }
    const { id_token } = await obtainTokens(line, { params, consent: { email: 'on' } })
    const { payload, protectedHeader } = await jwtVerify(id_token, secret(), {
      issuer: line.url,
      audience: loginChannelId,
      algorithms: ['HS256'],
    })
    expect(protectedHeader).toEqual({ typ: 'JWT', alg: 'HS256' })
    expect(payload).toEqual({
      iss: line.url,
      sub: expect.stringMatching(/^U[0-9a-f]{32}$/),
      aud: loginChannelId,
      exp: (payload.iat ?? 0) + 3600,
      iat: expect.any(Number),
      auth_time: expect.any(Number),
      nonce: 'nonce-1',
      amr: ['pwd'],
      name: 'LINE Person A',
      picture: expect.stringContaining('/profile-images/U'),
      email: 'line-person-a@example.com',
    })
  })

  test('is ES256 under a published key with id_token_key_type=JWK', async () => {
    const { id_token } = await obtainTokens(line, {}, { id_token_key_type: 'JWK' })
    const { body: certs } = await call(line, '/oauth2/v2.1/certs')
    expect(decodeProtectedHeader(id_token)).toMatchObject({
      alg: 'ES256',
      kid: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    await jwtVerify(id_token, createLocalJWKSet(certs as unknown as JSONWebKeySet), { issuer: line.url })
  })

  test('says nothing that was not asked for, and can lack amr', async () => {
    line.simulator.state.settings.omitAmr = true
    const { id_token } = await obtainTokens(line, { params: { scope: 'openid' } })
    expect(Object.keys(decodeJwt(id_token)).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'sub'])
  })

  test('carries another user ID for the same person under another provider', async () => {
    const seed = defaultSeed([callbackUrl])
    const other = { ...loginChannelOf(line), id: '2000000000', providerId: 'provider-b' }
    line.simulator.state = await createState({
      ...seed,
      providers: [...(seed.providers ?? []), { id: 'provider-b', name: 'Provider B' }],
      channels: [...(seed.channels ?? []), other],
    })
    const first = decodeJwt((await obtainTokens(line)).id_token)
    const again = decodeJwt((await obtainTokens(line)).id_token)
    const callback = await logIn(line, { params: { client_id: other.id } })
    const { body } = await exchange(line, codeOf(callback), { client_id: other.id })
    expect(again.sub).toBe(first.sub)
    expect(decodeJwt(String(body.id_token)).sub).not.toBe(first.sub)
  })
})

describe('LINE refresh', () => {
  const refresh = (refresh_token: string, fields: Record<string, string> = client()) =>
    call(line, '/oauth2/v2.1/token', { form: { grant_type: 'refresh_token', refresh_token, ...fields } })

  test('refuses an unknown and an expired token with the documented body', async () => {
    const { refresh_token } = await obtainTokens(line)
    const refusal = { error: 'invalid_grant', error_description: 'invalid refresh token' }
    expect((await refresh('unknown')).body).toEqual(refusal)
    advance(80 * day)
    expect((await refresh(refresh_token)).status).toBe(200)
    advance(10 * day)
    expect(await refresh(refresh_token)).toMatchObject({ status: 400, body: refusal })
  })

  test("refuses another channel's code and refresh token", async () => {
    const other = { ...loginChannelOf(line), id: '2000000000' }
    line.simulator.state.channels[other.id] = other
    expect((await exchange(line, codeOf(await logIn(line)), { client_id: other.id })).status).toBe(400)
    const { refresh_token } = await obtainTokens(line)
    expect((await refresh(refresh_token, { ...client(), client_id: other.id })).status).toBe(400)
  })

  test('returns the same refresh token, and needs no secret from a mobile channel', async () => {
    const { refresh_token, access_token } = await obtainTokens(line)
    const { body } = await refresh(refresh_token)
    expect(body).toMatchObject({ refresh_token, token_type: 'Bearer', scope: 'openid profile' })
    expect(body).not.toHaveProperty('id_token')
    expect(body.access_token).not.toBe(access_token)

    expect((await refresh(refresh_token, { client_id: loginChannelId })).status).toBe(400)
    loginChannelOf(line).appTypes = ['web', 'mobile']
    expect((await refresh(refresh_token, { client_id: loginChannelId })).status).toBe(200)
  })
})
