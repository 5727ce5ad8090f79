import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { begin, relyingParty, signIn } from '../support/relying-party.ts'

const everything = 'openid profile email linked_accounts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

/** What a client with this registration is told of a member, in the ID token and by userinfo. */
async function told(
  member: { id: string; email: string; password: string },
  registration: Partial<NewClient>,
  scope: string,
) {
  const party = await relyingParty(server, await givenClient(server, registration))
  const tokens = await signIn(party, openBrowser(), member, { scope })
  const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, member.id)
  const idToken: Record<string, unknown> = tokens.claims() ?? {}
  return { idToken, userinfo, accessToken: tokens.access_token }
}

describe('OpenID Connect Core 1.0 section 5.3: userinfo', () => {
  test.each([
    ['no token', {}],
    ['a token nobody gave', { authorization: 'Bearer made-up' }],
  ])('section 5.3.3: %s is answered with 401', async (_, headers) => {
    const answer = await send(`${server.issuer}/userinfo`, { headers })
    expect([400, 401]).toContain(answer.status)
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /)
    expect(answer.text).not.toContain('sub')
  })

  test('RFC 6750 section 2.3: a token in the address is not taken', async () => {
    const { accessToken } = await told(await givenMember(server), {}, 'openid')
    const answer = await send(`${server.issuer}/userinfo?access_token=${accessToken}`)
    expect(answer.status).toBe(400)
    expect(answer.json.sub).toBeUndefined()
  })

  test('section 5.3.1: GET and POST answer alike, and nobody keeps the answer', async () => {
    const member = await givenMember(server)
    const { accessToken } = await told(member, {}, 'openid email')
    const headers = { authorization: `Bearer ${accessToken}` }
    const [got, posted, inBody] = await Promise.all([
      send(`${server.issuer}/userinfo`, { headers }),
      send(`${server.issuer}/userinfo`, { method: 'POST', headers }),
      post(server, '/userinfo', { access_token: accessToken }),
    ])
    expect(got.json).toEqual({ sub: member.id, email: member.email, email_verified: true })
    expect(posted.json).toEqual(got.json)
    expect(inBody.json).toEqual(got.json)
    expect(got.headers['cache-control']).toContain('no-store')
  })
})

describe('OpenID Connect Core 1.0 section 5.4: claims by scope', () => {
  test.each([
    ['openid', ['sub']],
    ['openid email', ['email', 'email_verified', 'sub']],
    ['openid profile', ['locale', 'name', 'sub', 'updated_at']],
  ])('%s gives %j and nothing else', async (scope, claims) => {
    const { userinfo, idToken } = await told(await givenMember(server), {}, scope)
    expect(Object.keys(userinfo).sort()).toEqual(claims)
    expect(Object.keys(idToken).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'nonce', 'sub'])
  })

  test('a scope the client is not registered for gives nothing', async () => {
    const member = await givenMember(server)
    const party = await relyingParty(server, await givenClient(server, { scopes: ['openid'] }))
    await expect(signIn(party, openBrowser(), member, { scope: 'openid email' })).rejects.toMatchObject({
      error: 'invalid_scope',
    })
  })

  test('section 5.1: an address counts as verified, because a code or a trusted upstream proved it', async () => {
    const member = await givenMember(server)
    const { userinfo } = await told(member, {}, 'openid email')
    expect(userinfo).toMatchObject({ email: member.email, email_verified: true })
  })

  test('a client gets no claim beyond those an administrator allowed it', async () => {
    const scopes = ['openid', 'profile', 'email']
    const metadata = { allowed_claims: ['email', 'locale'] }
    const { userinfo } = await told(await givenMember(server), { scopes, metadata }, scopes.join(' '))
    expect(Object.keys(userinfo).sort()).toEqual(['email', 'locale', 'sub'])
  })
})

describe('OpenID Connect Core 1.0 section 5.5: the claims parameter', () => {
  const request = async (claims: unknown, metadata = {}) => {
    const member = await givenMember(server)
    const party = await relyingParty(server, await givenClient(server, { metadata }))
    const tokens = await signIn(party, openBrowser(), member, { claims: JSON.stringify(claims) })
    const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, member.id)
    return { member, userinfo, idToken: tokens.claims() }
  }

  test.each([
    ['that is no JSON', '{'],
    ['that is a list', '[]'],
    ['whose members are no objects', '{"userinfo":"email"}'],
    ['that asks for nothing in particular', '{}'],
  ])('one %s is refused', async (_, claims) => {
    const party = await relyingParty(server, await givenClient(server))
    const { url } = await begin(party, { claims })
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    const { url: at } = await browser.open(url)
    expect(at.searchParams.get('error')).toBe('invalid_request')
  })

  test('a claim is given where it was asked for, and nowhere else', async () => {
    const claims = { userinfo: { email: { essential: true } }, id_token: { nickname: null, name: null } }
    const { member, userinfo, idToken } = await request(claims)
    expect(userinfo).toEqual({ sub: member.id, email: member.email })
    expect(idToken).toMatchObject({ name: member.name })
    expect(idToken).not.toHaveProperty('email')
  })

  test('what the client is not allowed is not given, whatever it asks for', async () => {
    const claims = { userinfo: { email: null, linked_accounts: null, name: null } }
    const { member, userinfo } = await request(claims, { allowed_claims: ['name'] })
    expect(userinfo).toEqual({ sub: member.id, name: member.name })
  })
})

describe('linked_accounts', () => {
  const scopes = ['openid', 'profile', 'email', 'linked_accounts']

  async function givenLinked() {
    const member = await givenMember(server)
    const [allowed, other] = [await givenConnection(server), await givenConnection(server)]
    const linked = await givenIdentity(server, { memberId: member.id, connectionId: allowed.id })
    await givenIdentity(server, { memberId: member.id, connectionId: other.id })
    return { member, allowed, linked }
  }

  test('a client that is allowed no connection is told nothing', async () => {
    const { member } = await givenLinked()
    const { idToken, userinfo } = await told(member, { scopes }, everything)
    expect(idToken).not.toHaveProperty('linked_accounts')
    expect(userinfo).not.toHaveProperty('linked_accounts')
  })

  test('a client that did not ask for the scope is told nothing', async () => {
    const { member, allowed } = await givenLinked()
    const { idToken, userinfo } = await told(
      member,
      { scopes, connections: [allowed.id] },
      'openid profile email',
    )
    expect(idToken).not.toHaveProperty('linked_accounts')
    expect(userinfo).not.toHaveProperty('linked_accounts')
  })

  test('a client is told of the connection it is allowed and of no other, in ID token and userinfo', async () => {
    const { member, allowed, linked } = await givenLinked()
    const { idToken, userinfo } = await told(member, { scopes, connections: [allowed.id] }, everything)
    const { issuer, subject, linkedAt } = linked
    const accounts = [
      { connection: allowed.id, issuer, subject, linked_at: linkedAt.toISOString(), status: 'linked' },
    ]
    expect(idToken.linked_accounts).toEqual(accounts)
    expect(userinfo.linked_accounts).toEqual(accounts)
  })

  test('a member without a link is an empty list, not an absent claim', async () => {
    const connection = await givenConnection(server)
    const member = await givenMember(server)
    const { userinfo } = await told(member, { scopes, connections: [connection.id] }, everything)
    expect(userinfo.linked_accounts).toEqual([])
  })

  test('a permission that was withdrawn closes userinfo within a second', async () => {
    const { member, allowed } = await givenLinked()
    const client = await givenClient(server, { scopes, connections: [allowed.id] })
    const party = await relyingParty(server, client)
    const tokens = await signIn(party, openBrowser(), member, { scope: everything })
    const data = { updatedAt: server.now(), connections: { deleteMany: {} } }
    await server.db.client.update({ where: { id: client.id }, data })
    server.advance(1)
    const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, member.id)
    expect(userinfo).not.toHaveProperty('linked_accounts')
  })
})
