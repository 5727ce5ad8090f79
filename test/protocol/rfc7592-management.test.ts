import { exportJWK, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableClient, enableClient, findRegistration, updateClient } from '../../src/oidc/clients/client.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenConnection, givenMember } from '../support/given.ts'
import { post } from '../support/post.ts'
import { changed, givenRegistrationToken, manage, register } from '../support/registration.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

type Registration = Record<string, unknown>

let server: TestApp
let token: string
beforeAll(async () => {
  server = await startTestApp()
  token = await givenRegistrationToken(server)
})
afterAll(() => server.close())

const redirectUri = 'https://rp.example.com/callback'

async function given(metadata: object = {}, initial = token): Promise<Registration> {
  const { status, json, text } = await register(server, initial, {
    redirect_uris: [redirectUri],
    ...metadata,
  })
  if (status !== 201) throw new Error(text)
  return json
}

const row = ({ client_id: id }: Registration) =>
  server.db.client.findUniqueOrThrow({ where: { id: String(id) }, include: { connections: true } })

/** Whether the secret is this client's: what is asked about is nobody's. */
async function authenticates({ client_id: id }: Registration, secret: unknown): Promise<boolean> {
  const client = { id: String(id), secret: String(secret), redirectUri }
  return (await post(server, '/introspect', { token: 'nobody gave this one' }, { client })).status === 200
}

/** Changes a client as an administrator does. */
async function administer(registration: Registration, changes: object): Promise<void> {
  const id = String(registration.client_id)
  await inTransaction(server.db, async (tx) => {
    const known = await findRegistration(tx, id)
    await updateClient(tx, newClient.parse({ ...known, ...changes }), server.now())
  })
}

const actions: [string, (registration: Registration) => Promise<{ status: number; json: Registration }>][] = [
  ['reading', (it) => manage(it, 'GET')],
  ['changing', (it) => manage(it, 'PUT', changed(it, { client_name: 'Changed' }))],
  ['deleting', (it) => manage(it, 'DELETE')],
]

describe('RFC 7592 section 2: with its own token, and as long as it may act', () => {
  test.each(actions)('%s takes a token', async (_, act) => {
    const mine = await given()
    for (const wrong of [undefined, 'made-up', token])
      expect((await act({ ...mine, registration_access_token: wrong })).status, wrong).toBe(401)
    expect((await row(mine)).updatedAt).toEqual((await row(mine)).createdAt)
  })

  test.each(actions)("%s takes the client's own, and the token of whoever tries ends", async (_, act) => {
    const [mine, others] = [await given(), await given()]
    const { registration_access_token } = mine
    expect((await act({ ...others, registration_access_token })).status).toBe(401)
    expect((await manage(others, 'GET')).status).toBe(200)
    expect((await manage(mine, 'GET')).status).toBe(401)
  })

  test.each(actions)(
    '%s is over while the client is disabled, and the token works after it',
    async (_, act) => {
      const mine = await given()
      const id = String(mine.client_id)
      await inTransaction(server.db, (tx) => disableClient(tx, id, server.now()))
      expect((await act(mine)).status).toBe(401)
      expect((await row(mine)).disabledAt).not.toBeNull()
      await inTransaction(server.db, (tx) => enableClient(tx, id, server.now()))
      expect((await act(mine)).status).toBeLessThan(300)
    },
  )

  test('a client of our own pages, and one an administrator registered, have no such token', async () => {
    const mine = await given()
    for (const id of ['hitotsu-account', 'shop']) {
      const address = `${server.issuer}/register/${id}`
      expect((await manage({ registration_client_uri: address }, 'GET')).status).toBe(401)
      const other = await given()
      expect((await manage({ ...other, registration_client_uri: address }, 'DELETE')).status).toBe(401)
    }
    expect((await manage(mine, 'GET')).status).toBe(200)
  })
})

describe('RFC 7592 section 2.1: reading', () => {
  test('shows what was registered, and no secret: only a digest of it is kept', async () => {
    const mine = await given({ client_name: 'Shop', 'client_name#ja': '店' })
    const { client_secret: secret, client_secret_expires_at: expiry, ...rest } = mine
    expect([typeof secret, expiry]).toEqual(['string', 0])
    const answer = await manage(mine, 'GET')
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json).toEqual(rest)
  })

  test('the address is one, in whatever letter case it is written', async () => {
    const mine = await given()
    const loud = String(mine.registration_client_uri).replace('/register/', '/REGISTER/')
    const { json } = await manage({ ...mine, registration_client_uri: loud }, 'GET')
    expect(json.client_id).toBe(mine.client_id)
    for (const field of ['client_secret', 'first_party', 'allowed_connections', 'allowed_resources'])
      expect(json).not.toHaveProperty(field)
  })
})

describe('RFC 7592 section 2.2: changing', () => {
  test.each<[string, Record<string, unknown>]>([
    ['another id', { client_id: 'other' }],
    ['no id', { client_id: undefined }],
    ['a secret of its own choice', { client_secret: 'mine' }],
    ['its token', { registration_access_token: 'x' }],
    ['its address', { registration_client_uri: 'https://rp.example.com/' }],
    ['when it was registered', { client_id_issued_at: 1 }],
    ['when its secret ends', { client_secret_expires_at: 1 }],
    ['less than its profile demands', { profile: 'spa', token_endpoint_auth_method: 'client_secret_basic' }],
    ['no PKCE', { require_pkce: false }],
    ['another scope', { scope: 'openid linked_accounts' }],
    ['javascript:', { redirect_uris: ['javascript:alert(1)'] }],
    ['a client of the company', { first_party: true }],
    ['linked accounts', { allowed_connections: ['line'] }],
    ['APIs', { allowed_resources: {} }],
    ['claims', { allowed_claims: [] }],
  ])('%s cannot be set', async (_, changes) => {
    const mine = await given()
    const before = await row(mine)
    const answer = await manage(mine, 'PUT', changed(mine, changes))
    expect(answer.status).toBe(400)
    expect(answer.json.error).toMatch(/^invalid_(request|client_metadata|redirect_uri)$/)
    expect(await row(mine)).toEqual(before)
    expect(await authenticates(mine, mine.client_secret)).toBe(true)
  })

  test("digests of a secret, or somebody else's secret, are not the client's secret", async () => {
    const [mine, others] = [await given(), await given()]
    const { digest } = await server.db.clientSecret.findFirstOrThrow({
      where: { clientId: String(mine.client_id) },
    })
    for (const wrong of [digest, others.client_secret, '', ' '])
      expect((await manage(mine, 'PUT', changed(mine, { client_secret: wrong }))).status).toBe(400)
  })

  test('the secret it has may be sent along, and stays', async () => {
    const mine = await given()
    const answer = await manage(mine, 'PUT', changed(mine, { client_name: 'New' }))
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ client_id: mine.client_id, client_name: 'New' })
    expect(answer.json).not.toHaveProperty('client_secret')
    expect(await authenticates(mine, mine.client_secret)).toBe(true)
  })

  test('what it leaves out is as if it had never been said', async () => {
    const said = {
      client_name: 'Shop',
      client_uri: 'https://rp.example.com',
      post_logout_redirect_uris: ['https://rp.example.com/bye'],
      id_token_signed_response_alg: 'ES256',
    }
    const mine = await given(said)
    const { client_id, redirect_uris } = mine
    const { json } = await manage(mine, 'PUT', { client_id, redirect_uris })
    for (const field of ['client_name', 'client_uri']) expect(json).not.toHaveProperty(field)
    expect(json).toMatchObject({ post_logout_redirect_uris: [], id_token_signed_response_alg: 'RS256' })
    const { registration_access_token: _token, ...read } = (await manage(mine, 'GET')).json
    expect(read).toMatchObject({ id_token_signed_response_alg: 'RS256' })
    expect((await row(mine)).name).toEqual({ ja: client_id, en: client_id })
  })

  test('what an administrator decided stays', async () => {
    const { id } = await givenConnection(server)
    const mine = await given()
    await administer(mine, {
      firstParty: true,
      connections: [id],
      requirePkce: false,
      scopes: ['openid', 'linked_accounts'],
      metadata: { allowed_claims: ['email'], redirect_uris: [redirectUri] },
    })
    const { client_id, redirect_uris } = mine
    const answer = await manage(mine, 'PUT', { client_id, redirect_uris, client_name: 'New' })
    expect(answer.status).toBe(200)
    expect(await row(mine)).toMatchObject({
      firstParty: true,
      connections: [{ connectionId: id }],
      metadata: { allowed_claims: ['email'], require_pkce: false },
    })
    expect(String(answer.json.scope).split(' ')).toContain('linked_accounts')
    for (const field of ['first_party', 'allowed_connections', 'allowed_claims'])
      expect(answer.json).not.toHaveProperty(field)
  })

  test('the rules of its initial access token stay with it, also when that is gone', async () => {
    const narrow = await givenRegistrationToken(server, {
      label: 'narrow',
      profiles: ['web'],
      allowNoPkce: true,
    })
    const mine = await given({}, narrow)
    await server.db.registrationToken.delete({ where: { label: 'narrow' } })
    const spa = changed(mine, { profile: 'spa', token_endpoint_auth_method: 'none' })
    expect((await manage(mine, 'PUT', spa)).json.error_description).toMatch(/^profile: spa/)
    const { status, json } = await manage(mine, 'PUT', changed(mine, { require_pkce: undefined }))
    expect([status, json.require_pkce]).toEqual([200, false])
  })

  test('whoever needs no secret any more has none, and gets a new one when it does', async () => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    const jwks = { keys: [await exportJWK(publicKey)] }
    const mine = await given()
    const { client_secret: _secret, ...rest } = mine
    const keyed = await manage(
      mine,
      'PUT',
      changed(rest, { token_endpoint_auth_method: 'private_key_jwt', jwks }),
    )
    expect(keyed.status).toBe(200)
    expect(keyed.json).not.toHaveProperty('client_secret')
    expect(await authenticates(mine, mine.client_secret)).toBe(false)

    const again = await manage(
      mine,
      'PUT',
      changed(rest, { token_endpoint_auth_method: 'client_secret_post' }),
    )
    expect(again.json).toMatchObject({ client_secret: expect.any(String), client_secret_expires_at: 0 })
    expect(again.json.client_secret).not.toBe(mine.client_secret)
    const secrets = await server.db.clientSecret.count({ where: { clientId: String(mine.client_id) } })
    expect(secrets).toBe(1)
  })

  test('the token stays the same, so that a lost answer costs nothing', async () => {
    const mine = await given()
    const { json } = await manage(mine, 'PUT', changed(mine))
    expect(json.registration_access_token).toBe(mine.registration_access_token)
    expect((await manage(mine, 'PUT', changed(mine))).status).toBe(200)
  })

  test('is told by an event', async () => {
    const mine = await given()
    await manage(mine, 'PUT', changed(mine, { client_name: 'New' }))
    const events = await server.db.event.findMany({ where: { type: 'client.updated' } })
    const data = { clientId: mine.client_id, profile: 'web', firstParty: false, by: 'registration' }
    expect(events.map((event) => event.data)).toContainEqual(data)
  })
})

describe('RFC 7592 section 2.3: deleting', () => {
  test('ends the client, its tokens and what members allowed it, everywhere', async () => {
    const lenient = await givenRegistrationToken(server, { scopes: ['openid', 'offline_access'] })
    const mine = await given({ id_token_signed_response_alg: 'ES256' }, lenient)
    const client = { id: String(mine.client_id), secret: String(mine.client_secret), redirectUri }
    const party = await relyingParty(server, client)
    const tokens = await signIn(party, openBrowser(), await givenMember(server), {
      scope: 'openid offline_access',
    })
    const answer = await manage(mine, 'DELETE')
    expect([answer.status, answer.text]).toEqual([204, ''])

    expect((await manage(mine, 'GET')).status).toBe(401)
    expect(await authenticates(mine, mine.client_secret)).toBe(false)
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
    expect((await post(server, '/token', refresh, { client })).json.error).toBe('invalid_client')
    const userinfo = await fetch(`${server.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    })
    expect(userinfo.status).toBe(401)
    const page = await openBrowser().open(
      `${server.issuer}/authorize?client_id=${client.id}&response_type=code&scope=openid&redirect_uri=${redirectUri}`,
    )
    expect(page.status).toBe(400)

    for (const left of [
      await server.db.client.count({ where: { id: client.id } }),
      await server.db.clientSecret.count({ where: { clientId: client.id } }),
      await server.db.grant.count({ where: { clientId: client.id } }),
      await server.db.registrationToken.count({ where: { clientId: client.id } }),
    ])
      expect(left).toBe(0)
    const events = await server.db.event.findMany({ where: { type: 'client.deleted' } })
    expect(events.map(({ data }) => data)).toContainEqual({ clientId: client.id, by: 'registration' })
  })

  test('a change that races it does not bring the client back', async () => {
    const mine = await given()
    const [, change] = await Promise.all([
      manage(mine, 'DELETE'),
      manage(mine, 'PUT', changed(mine, { client_name: 'Back' })),
    ])
    expect([200, 401]).toContain(change.status)
    expect(await server.db.client.count({ where: { id: String(mine.client_id) } })).toBe(0)
  })
})
