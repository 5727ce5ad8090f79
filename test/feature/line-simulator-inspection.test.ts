import { decodeJwt, type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  botChannelId,
  call,
  callbackUrl,
  loginChannelId,
  loginChannelOf,
  obtainTokens,
  startSimulator,
  statelessToken,
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

describe('LINE verify access token', () => {
  const verify = (token: string) => call(line, `/oauth2/v2.1/verify?access_token=${token}`)

  test('names the three documented refusals', async () => {
    const { access_token } = await obtainTokens(line)
    const refusal = (error_description: string) => ({
      status: 400,
      body: { error: 'invalid_request', error_description },
    })
    expect(await verify('abc')).toMatchObject(refusal('The access token not JWS'))
    advance(30 * day)
    expect(await verify(access_token)).toMatchObject(refusal('The access token expired'))
    advance(-30 * day)
    expect(await call(line, '/oauth2/v2.1/revoke', { form: { access_token, ...client() } })).toMatchObject({
      status: 200,
      body: {},
    })
    expect(await verify(access_token)).toMatchObject(refusal('The access token revoked'))
  })

  test('tells channel, scope and remaining seconds', async () => {
    const { access_token } = await obtainTokens(line)
    advance(60_000)
    const { body } = await verify(access_token)
    expect(body).toEqual({
      scope: 'openid profile',
      client_id: loginChannelId,
      expires_in: expect.any(Number),
    })
    expect(body.expires_in).toBeLessThanOrEqual(2_592_000 - 60)
  })
})

describe('LINE verify ID token', () => {
  const verify = (id_token: string, fields: Record<string, string> = {}) =>
    call(line, '/oauth2/v2.1/verify', { form: { id_token, client_id: loginChannelId, ...fields } })
  const sign = (claims: JWTPayload) =>
    new SignJWT({ iss: line.url, aud: loginChannelId, sub: 'U0', ...claims })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(secret())

  test.each([
    ['a malformed token', () => 'abc', {}, 'Invalid IdToken.'],
    ['another issuer', () => sign({ iss: 'https://elsewhere.example' }), {}, 'Invalid IdToken Issuer.'],
    ['another audience', () => sign({}), { client_id: '999' }, 'Invalid IdToken Audience.'],
    ['another nonce', () => sign({ nonce: 'a' }), { nonce: 'b' }, 'Invalid IdToken Nonce.'],
    ['another person', () => sign({}), { user_id: 'U1' }, 'Invalid IdToken Subject Identifier.'],
  ])('refuses %s', async (_, token, fields, error_description) => {
    const answer = await verify(await token(), fields)
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request', error_description } })
  })

  test('refuses an expired token, and one signed with another secret', async () => {
    const { id_token } = await obtainTokens(line)
    loginChannelOf(line).secret = '0'.repeat(32)
    expect((await verify(id_token)).body.error_description).toBe('Invalid IdToken.')
    const fresh = (await obtainTokens(line)).id_token
    advance(3_600_000)
    expect((await verify(fresh)).body.error_description).toBe('IdToken expired.')
  })

  test.each([[{}], [{ id_token_key_type: 'JWK' }]])(
    'returns the payload of a good token: %o',
    async (extra) => {
      const { id_token } = await obtainTokens(line, { params: { nonce: 'n' } }, extra)
      const { sub = '', ...claims } = decodeJwt(id_token)
      expect((await verify(id_token, { nonce: 'n', user_id: sub })).body).toEqual({ sub, ...claims })
    },
  )
})

describe('LINE user calls', () => {
  test.each(['/v2/profile', '/oauth2/v2.1/userinfo', '/friendship/v1/status'])(
    '%s wants a live token',
    async (path) => {
      expect((await call(line, path)).status).toBe(401)
      expect((await call(line, path, { bearer: 'abc' })).body.message).toContain('Authentication failed')
    },
  )

  test('each call wants its own scope', async () => {
    const { access_token: openid } = await obtainTokens(line, { params: { scope: 'openid' } })
    const { access_token: profile } = await obtainTokens(line, { params: { scope: 'profile' } })
    expect((await call(line, '/v2/profile', { bearer: openid })).status).toBe(403)
    expect((await call(line, '/oauth2/v2.1/userinfo', { bearer: profile })).status).toBe(403)
  })

  test('userinfo has no e-mail, the profile has the same user ID and a picture that loads', async () => {
    const options = { params: { scope: 'openid profile email' }, consent: { email: 'on' } }
    const { access_token: bearer } = await obtainTokens(line, options)
    const { body: info } = await call(line, '/oauth2/v2.1/userinfo', { bearer, method: 'POST' })
    const { body: profile } = await call(line, '/v2/profile', { bearer })
    expect(Object.keys(info).sort()).toEqual(['name', 'picture', 'sub'])
    expect(profile).toEqual({ userId: info.sub, displayName: info.name, pictureUrl: info.picture })
    expect((await fetch(`${info.picture}/large`)).headers.get('content-type')).toContain('image/')
  })

  test('friendship tells the truth about the linked official account', async () => {
    const { access_token: bearer } = await obtainTokens(line)
    const friendFlag = async () => (await call(line, '/friendship/v1/status', { bearer })).body
    expect(await friendFlag()).toEqual({ friendFlag: false })
    line.simulator.state.relations[`${botChannelId}:person-a`] = 'friend'
    expect(await friendFlag()).toEqual({ friendFlag: true })
  })
})

describe('LINE deauthorize', () => {
  const deauthorize = (bearer: string, userAccessToken: string) =>
    call(line, '/user/v1/deauthorize', { bearer, json: { userAccessToken } })

  test('refuses short-lived and long-lived channel tokens with 401', async () => {
    const { access_token } = await obtainTokens(line)
    const form = { grant_type: 'client_credentials', ...client() }
    const shortLived = (await call(line, '/v2/oauth/accessToken', { form })).body.access_token
    expect((await deauthorize(String(shortLived), access_token)).status).toBe(401)
    expect((await deauthorize('abc', access_token)).status).toBe(401)
  })

  test("refuses a token of another channel's user, or none at all", async () => {
    const { access_token } = await obtainTokens(line)
    const foreign = await statelessToken(line, botChannelId)
    expect(await deauthorize(foreign, access_token)).toMatchObject({
      status: 400,
      body: { message: 'invalid token' },
    })
    expect((await deauthorize(await statelessToken(line, loginChannelId), 'abc')).status).toBe(400)
  })

  test('ends every token and the consent, and cannot be repeated', async () => {
    const { access_token, refresh_token } = await obtainTokens(line)
    const bearer = await statelessToken(line, loginChannelId)
    expect((await deauthorize(bearer, access_token)).status).toBe(204)
    expect(await deauthorize(bearer, access_token)).toMatchObject({
      status: 400,
      body: { message: 'invalid token' },
    })
    const form = { grant_type: 'refresh_token', refresh_token, ...client() }
    expect((await call(line, '/oauth2/v2.1/token', { form })).status).toBe(400)
    expect(line.simulator.state.consents).toEqual({})
  })
})
