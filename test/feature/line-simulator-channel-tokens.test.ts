import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  call,
  callbackUrl,
  loginChannelId,
  loginChannelOf,
  startSimulator,
} from '../support/line-simulator.ts'

let line: LineSimulator

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(async () => {
  line.simulator.state = await createState(defaultSeed([callbackUrl]))
})
afterAll(() => line.close())

const client = () => ({ client_id: loginChannelId, client_secret: loginChannelOf(line).secret })

describe('LINE channel access tokens', () => {
  const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

  async function assertionIssuer() {
    const { privateKey, publicKey } = await generateKeyPair('RS256')
    const { kty: _, ...jwk } = await exportJWK(publicKey)
    loginChannelOf(line).assertionKeys.push({ ...jwk, kty: 'RSA', kid: 'key-1' })
    return (claims: JWTPayload = {}, kid = 'key-1', lifeSeconds = 1800) =>
      new SignJWT({
        iss: loginChannelId,
        sub: loginChannelId,
        aud: 'https://api.line.me/',
        token_exp: 3600,
        ...claims,
      })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid })
        .setExpirationTime(Math.floor(Date.now() / 1000) + lifeSeconds)
        .sign(privateKey)
  }
  const request = (client_assertion: string) =>
    call(line, '/oauth2/v2.1/token', {
      form: { grant_type: 'client_credentials', client_assertion_type: assertionType, client_assertion },
    })

  test('v2.1: refuses an assertion that lives too long, names another channel or an unknown key', async () => {
    const assertion = await assertionIssuer()
    expect(await request(await assertion({}, 'key-1', 3600))).toMatchObject({
      status: 400,
      body: { error: 'invalid_client', error_description: 'Invalid exp' },
    })
    expect((await request(await assertion({ iss: '999' }))).body.error_description).toBe(
      'iss and clientId of key do not match',
    )
    expect(await request(await assertion({}, 'key-2'))).toMatchObject({
      status: 404,
      body: { message: 'Cannot find channel key that satisfies the conditions' },
    })
  })

  test('v2.1: thirty live tokens at most; each can be verified, listed and revoked', async () => {
    const assertion = await (await assertionIssuer())()
    const { body } = await request(assertion)
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3600, key_id: expect.any(String) })
    const verified = await call(line, `/oauth2/v2.1/verify?access_token=${body.access_token}`)
    expect(verified.body).toMatchObject({ client_id: loginChannelId })

    for (let issued = 1; issued < 30; issued++) await request(assertion)
    expect(await request(assertion)).toMatchObject({
      status: 400,
      body: { message: 'The maximum number of access tokens has already been issued' },
    })
    await call(line, '/oauth2/v2.1/revoke', {
      form: { ...client(), access_token: String(body.access_token) },
    })
    const query = new URLSearchParams({ client_assertion_type: assertionType, client_assertion: assertion })
    const { kids } = (await call(line, `/oauth2/v2.1/tokens/kid?${query}`)).body
    expect(kids).toHaveLength(29)
    expect(kids).not.toContain(body.key_id)
  })

  test('stateless: bad credentials have the documented body, good ones live 15 minutes', async () => {
    const form = { grant_type: 'client_credentials', client_id: loginChannelId, client_secret: 'wrong' }
    expect(await call(line, '/oauth2/v3/token', { form })).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', error_description: "Invalid 'client_credentials'." },
    })
    const good = await call(line, '/oauth2/v3/token', { form: { ...form, ...client() } })
    expect(good.body).toEqual({ token_type: 'Bearer', access_token: expect.any(String), expires_in: 900 })
  })

  test('short-lived: the thirty-first drops the oldest', async () => {
    const form = { grant_type: 'client_credentials', ...client() }
    const issue = async () => String((await call(line, '/v2/oauth/accessToken', { form })).body.access_token)
    const verify = (access_token: string) => call(line, '/v2/oauth/verify', { form: { access_token } })
    const oldest = await issue()
    for (let issued = 1; issued < 30; issued++) await issue()
    expect((await verify(oldest)).status).toBe(200)
    const last = await issue()
    expect((await verify(oldest)).status).toBe(400)
    await call(line, '/v2/oauth/revoke', { form: { access_token: last } })
    expect((await verify(last)).status).toBe(400)
  })
})
