import { exportJWK, generateKeyPair } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isClientSecret } from '../../src/oidc/clients/client.ts'
import { digest } from '../../src/security/digest.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { post, send } from '../support/post.ts'
import { givenRegistrationToken, manage, register } from '../support/registration.ts'

let server: TestApp
let token: string
beforeAll(async () => {
  server = await startTestApp()
  token = await givenRegistrationToken(server)
})
afterAll(() => server.close())

const redirectUri = 'https://rp.example.com/callback'
const web = (changes: object = {}) => ({ redirect_uris: [redirectUri], ...changes })
const clients = () => server.db.client.count()

describe('RFC 7591 section 3: who may register', () => {
  test('without an initial access token nobody does', async () => {
    const answer = await register(server, '', web())
    expect(answer.status).toBe(401)
    expect(await clients()).toBe(0)
  })

  test.each<[string, () => Promise<string>]>([
    ['that nobody made', async () => 'made-up'],
    [
      'that has expired',
      () => givenRegistrationToken(server, { expiresAt: new Date(server.now().getTime() - 1) }),
    ],
    [
      'that was revoked',
      async () => {
        const revoked = await givenRegistrationToken(server, { label: 'revoked' })
        await server.db.registrationToken.delete({ where: { label: 'revoked' } })
        return revoked
      },
    ],
  ])('a token %s lets nobody in', async (_, make) => {
    const answer = await register(server, await make(), web())
    expect(answer.status).toBe(401)
    expect(answer.json.error).toBe('invalid_token')
    expect(await clients()).toBe(0)
  })

  test('RFC 6750 section 2.3: a token in the address is refused', async () => {
    const address = { registration_client_uri: `${server.issuer}/register?access_token=${token}` }
    expect((await manage(address, 'POST', web(), '')).status).toBe(400)
  })

  test('a registration access token is not an initial one', async () => {
    const first = await register(server, token, web())
    const answer = await register(server, String(first.json.registration_access_token), web())
    expect(answer.status).toBe(401)
  })

  test('of any number at once, no more get in than the token is good for', async () => {
    const once = await givenRegistrationToken(server, { maxUses: 2 })
    const answers = await Promise.all(Array.from({ length: 6 }, () => register(server, once, web())))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 401, 401, 401, 401])
    expect((await register(server, once, web())).status).toBe(401)
  })

  test('a registration that is refused uses nothing up', async () => {
    const once = await givenRegistrationToken(server, { maxUses: 1 })
    expect((await register(server, once, web({ redirect_uris: [] }))).status).toBe(400)
    expect((await register(server, once, web())).status).toBe(201)
  })
})

describe('RFC 7591 section 3.1: what is no registration', () => {
  test.each<[string, unknown]>([
    ['an array', []],
    ['a text', '"web"'],
    ['nothing', ''],
    ['not JSON', '{"redirect_uris": '],
    ['60 KiB', web({ client_uri: `https://rp.example.com/${'x'.repeat(60_000)}` })],
  ])('%s is refused', async (_, body) => {
    const answer = await register(server, token, body)
    expect(answer.status).toBe(400)
    expect(answer.json.error).toMatch(/^invalid_(request|client_metadata)$/)
  })

  test('a form is refused', async () => {
    expect((await post(server, '/register', { client_name: 'Shop' })).status).toBe(400)
  })

  test('asked in another way, the endpoint says how it wants to be asked', async () => {
    const answer = await send(`${server.issuer}/register`)
    expect(answer.status).toBe(405)
    expect(answer.headers.allow).toBe('POST')
  })
})

describe('RFC 7591 section 3.2.2: what is refused, and why', () => {
  const long = `https://rp.example.com/${'x'.repeat(2_000)}`
  test.each<[string, object, string, string?]>([
    ['no redirect URI', { redirect_uris: [] }, 'redirect_uris', 'invalid_redirect_uri'],
    ['one that is no URI', { redirect_uris: ['callback'] }, 'redirect_uris', 'invalid_redirect_uri'],
    ['javascript:', { redirect_uris: ['javascript:alert(1)'] }, 'must be https', 'invalid_redirect_uri'],
    ['data:', { redirect_uris: ['data:text/html,hello'] }, 'must be https', 'invalid_redirect_uri'],
    ['http', { redirect_uris: ['http://rp.example.com/'] }, 'must be https', 'invalid_redirect_uri'],
    [
      'a fragment',
      { redirect_uris: [`${redirectUri}#a`] },
      'must not have a fragment',
      'invalid_redirect_uri',
    ],
    ['an empty fragment', { redirect_uris: [`${redirectUri}#`] }, 'fragment', 'invalid_redirect_uri'],
    [
      '21 of them',
      { redirect_uris: Array.from({ length: 21 }, (_, index) => `${redirectUri}/${index}`) },
      'redirect_uris: at most 20',
      'invalid_redirect_uri',
    ],
    ['a long one', { redirect_uris: [long] }, 'at most 2000 characters', 'invalid_redirect_uri'],
    ['javascript: after sign-out', { post_logout_redirect_uris: ['javascript:alert(1)'] }, 'must be https'],
    ['http after sign-out', { post_logout_redirect_uris: ['http://rp.example.com/'] }, 'must be https'],
    ['a javascript: home page', { client_uri: 'javascript:alert(1)' }, 'client_uri: must be https'],
    ['a data: logo', { logo_uri: 'data:image/png;base64,AAAA' }, 'logo_uri: must be https'],
    ['an http policy', { policy_uri: 'http://rp.example.com/' }, 'policy_uri: must be https'],
    ['a vbscript: terms page', { tos_uri: 'vbscript:x' }, 'tos_uri: must be https'],
    ['keys over http', { jwks_uri: 'http://rp.example.com/' }, 'jwks_uri: must be https'],
    ['a login page over http', { initiate_login_uri: 'http://rp.example.com/' }, 'initiate_login_uri'],
    ['a long name', { client_name: 'x'.repeat(61) }, 'client_name: at most 60 characters'],
    ['a name that runs backwards', { client_name: 'Shop\u202epohS' }, 'control or format characters'],
    ['a name of two lines', { 'client_name#en': 'Shop\nHitotsu' }, 'control or format characters'],
    ['many keys', { jwks: { keys: Array.from({ length: 21 }, () => ({})) } }, 'jwks: at most 20 keys'],
    [
      'many contacts',
      { contacts: Array.from({ length: 11 }, () => 'a@example.com') },
      'contacts: at most 10',
    ],
    ['a name that is no text', { 'client_name#ja': 1 }, 'client_name#ja: must be a non-empty string'],
    ['PKCE that is neither', { require_pkce: 'no' }, 'require_pkce: must be a boolean'],
    ['no PKCE', { require_pkce: false }, 'require_pkce'],
    ['another scope', { scope: 'openid linked_accounts' }, 'scope: the access token does not allow'],
    ['an unknown profile', { profile: 'admin' }, 'profile: admin is not among'],
    ['a grant that is not for it', { grant_types: ['password'] }, 'grant_types'],
    ['tokens through the browser', { response_types: ['code id_token'] }, 'response_types'],
    ['keys and where they are', { jwks: { keys: [] }, jwks_uri: 'https://rp.example.com/jwks' }, 'jwks'],
    ['a secret that signs', { id_token_signed_response_alg: 'HS256' }, 'id_token_signed_response_alg'],
    ['a client of the company', { first_party: true }, 'first_party: is for an administrator to set'],
    ['linked accounts', { allowed_connections: ['line'] }, 'allowed_connections: is for an administrator'],
    ['APIs', { allowed_resources: { 'https://api.example.com': [] } }, 'allowed_resources: is for an admin'],
    ['claims', { allowed_claims: ['email'] }, 'allowed_claims: is for an administrator to set'],
    [
      'less than its profile demands',
      { profile: 'fapi2', token_endpoint_auth_method: 'client_secret_basic' },
      'token_endpoint_auth_method: a client of profile fapi2 uses private_key_jwt',
    ],
  ])('%s', async (_, changes, reason, error = 'invalid_client_metadata') => {
    const before = await clients()
    const answer = await register(server, token, web(changes))
    expect(answer.status).toBe(400)
    expect(answer.json).toEqual({ error, error_description: expect.stringContaining(reason) })
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(await clients()).toBe(before)
  })

  test('private keys, and secret ones', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    for (const key of [await exportJWK(privateKey), { kty: 'oct', k: 'c2VjcmV0' }]) {
      const keyed = web({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [key] } })
      const answer = await register(server, token, keyed)
      expect(answer.status).toBe(400)
      expect(answer.json.error).toBe('invalid_client_metadata')
    }
  })

  test('what JSON smuggles in as a prototype does not count', async () => {
    const body = `{"redirect_uris": ["${redirectUri}"], "__proto__": {"first_party": true, "scope": "linked_accounts"}}`
    const answer = await register(server, token, body)
    expect(answer.status).toBe(201)
    const row = await server.db.client.findUniqueOrThrow({ where: { id: String(answer.json.client_id) } })
    expect(row.firstParty).toBe(false)
    expect(answer.json.scope).not.toContain('linked_accounts')
  })

  test('a description repeats nothing that a header or a page could stumble over', async () => {
    const answer = await register(server, token, web({ redirect_uris: ['x:"\\\r\n<script>店'] }))
    expect(answer.json.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  })

  test('a profile that the token is not for is refused, and named', async () => {
    const narrow = await givenRegistrationToken(server, { profiles: ['web'] })
    const answer = await register(server, narrow, web({ token_endpoint_auth_method: 'none' }))
    expect(answer.json.error_description).toBe('profile: spa is not among those of the access token: web')
  })
})

describe('RFC 7591 section 3.2.1: what a client is told', () => {
  test('openid-client registers, and can be the client it got', async () => {
    const config = await oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { redirect_uris: [redirectUri], client_name: 'Shop' },
      undefined,
      { initialAccessToken: token, execute: [oidc.allowInsecureRequests] },
    )
    const { client_id: id, client_secret: secret = '' } = config.clientMetadata()
    const answer = await oidc.tokenIntrospection(config, 'nobody gave this one')
    expect(answer).toEqual({ active: false })
    expect(secret.length).toBeGreaterThanOrEqual(43)
    expect(await server.db.client.findUnique({ where: { id } })).toMatchObject({ profile: 'web' })
  })

  test('an id that nobody could guess, a secret that does not end, when it was and where to change it', async () => {
    const { status, json, headers } = await register(server, token, web({ client_name: 'Shop' }))
    expect(status).toBe(201)
    expect(headers['cache-control']).toBe('no-store')
    expect(json).toMatchObject({
      client_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      client_secret_expires_at: 0,
      registration_client_uri: `${server.issuer}/register/${json.client_id}`,
      registration_access_token: expect.stringMatching(/^[\w-]{43,}$/),
      client_name: 'Shop',
      redirect_uris: [redirectUri],
    })
    expect(Math.abs(Number(json.client_id_issued_at) - server.now().getTime() / 1000)).toBeLessThan(60)
    for (const field of ['first_party', 'allowed_connections', 'allowed_resources', 'allowed_claims'])
      expect(json).not.toHaveProperty(field)
  })

  test('neither secret nor tokens are stored or logged, only digests', async () => {
    const { json } = await register(server, token, web())
    const id = String(json.client_id)
    const { secrets, ...client } = await server.db.client.findUniqueOrThrow({
      where: { id },
      include: { secrets: true, registrationTokens: true },
    })
    expect(isClientSecret(digest(String(json.client_secret)), secrets[0]?.digest ?? '', server.now())).toBe(
      true,
    )
    const kept = JSON.stringify([client, secrets, await server.db.event.findMany()], (_, value) =>
      typeof value === 'bigint' ? String(value) : value,
    )
    for (const secret of [json.client_secret, json.registration_access_token, token]) {
      expect(kept).not.toContain(String(secret))
      expect(server.logged()).not.toContain(String(secret))
    }
  })

  test('what it was silent about is as its profile has it', async () => {
    const { json } = await register(server, token, web())
    expect(json).toMatchObject({
      profile: 'web',
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      response_types: ['code'],
      scope: 'openid profile email offline_access',
      require_pkce: true,
    })
    const machine = await register(server, token, { grant_types: ['client_credentials'] })
    expect(machine.json).toMatchObject({ profile: 'machine', response_types: [], redirect_uris: [] })
  })

  test.each([
    ['none', 'spa'],
    ['private_key_jwt', 'web'],
  ])('a client that authenticates with %s gets no secret', async (method, profile) => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    const jwks = { keys: [await exportJWK(publicKey)] }
    const { status, json } = await register(
      server,
      token,
      web({ token_endpoint_auth_method: method, client_secret: 'mine', ...(profile === 'web' && { jwks }) }),
    )
    expect(status).toBe(201)
    expect(json.profile).toBe(profile)
    expect(json).not.toHaveProperty('client_secret')
    expect(await server.db.clientSecret.count({ where: { clientId: String(json.client_id) } })).toBe(0)
  })

  test('nor does one whose profile has none, though it does not say so', async () => {
    const { json } = await register(server, token, web({ profile: 'spa' }))
    expect(json.token_endpoint_auth_method).toBe('none')
    expect(json).not.toHaveProperty('client_secret')
    expect(json).not.toHaveProperty('client_secret_expires_at')
  })

  test('a secret is made for it, whatever it brings', async () => {
    const { json } = await register(server, token, web({ client_secret: 'mine', client_id: 'mine' }))
    expect(json.client_secret).not.toBe('mine')
    expect(json.client_id).not.toBe('mine')
  })

  test('what it says that nobody knows is ignored', async () => {
    const { status, json } = await register(server, token, web({ favorite_color: 'green' }))
    expect(status).toBe(201)
    expect(json).not.toHaveProperty('favorite_color')
  })

  test.each<[object, object]>([
    [
      { client_name: 'Shop', 'client_name#ja': '店' },
      { ja: '店', en: 'Shop' },
    ],
    [
      { client_name: '店', 'client_name#en': 'Shop' },
      { ja: '店', en: 'Shop' },
    ],
    [{ 'client_name#ja': '店' }, { ja: '店', en: '店' }],
    [{ client_name: 'Shop' }, { ja: 'Shop', en: 'Shop' }],
    [{ client_name: '店'.repeat(60) }, { ja: '店'.repeat(60), en: '店'.repeat(60) }],
  ])('section 2.2: of %j members read %j, and it is told back as it was', async (names, name) => {
    const { json } = await register(server, token, web(names))
    expect((await manage(json, 'GET')).status).toBe(200)
    const row = await server.db.client.findUniqueOrThrow({ where: { id: String(json.client_id) } })
    expect(row.name).toEqual(name)
    expect(
      Object.fromEntries(Object.entries(json).filter(([field]) => field.startsWith('client_name'))),
    ).toEqual(names)
  })

  test('without a name it goes by its id', async () => {
    const { json } = await register(server, token, web())
    const row = await server.db.client.findUniqueOrThrow({ where: { id: String(json.client_id) } })
    expect(row.name).toEqual({ ja: row.id, en: row.id })
  })

  test('an event says who came, and that nobody let it in by hand', async () => {
    const { json } = await register(server, token, web())
    const events = await server.db.event.findMany({ where: { type: 'client.created' } })
    expect(events.map(({ data }) => data)).toContainEqual({
      clientId: json.client_id,
      profile: 'web',
      firstParty: false,
      by: 'registration',
    })
  })

  test('a token that lets clients go without PKCE makes that the default of web clients, and of no other', async () => {
    const lenient = await givenRegistrationToken(server, { allowNoPkce: true })
    expect((await register(server, lenient, web())).json.require_pkce).toBe(false)
    expect((await register(server, lenient, web({ require_pkce: true }))).json.require_pkce).toBe(true)
    const spa = web({ token_endpoint_auth_method: 'none' })
    expect((await register(server, lenient, spa)).json.require_pkce).toBe(true)
    expect((await register(server, lenient, { ...spa, require_pkce: false })).status).toBe(400)
  })
})

test('one source cannot go on for ever', async () => {
  await Promise.all(
    ['127.0.0.1', '0:0:0:0'].map((address) => server.store.set(`rate:registration:${address}`, '3000', 3600)),
  )
  const answer = await register(server, token, web())
  expect(answer.status).toBe(429)
  expect(answer.headers['retry-after']).toMatch(/^\d+$/)
})
