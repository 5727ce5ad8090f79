import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endSessions } from '../../src/members/member.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { disableResource } from '../../src/oidc/resource-registration.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember, givenResource } from '../support/given.ts'
import { post } from '../support/post.ts'
import { authorize, begin, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

async function givenTokens() {
  const [member, client] = [await givenMember(server), await givenClient(server)]
  const party = await relyingParty(server, client)
  const tokens = await signIn(party, openBrowser(), member, { scope: 'openid email offline_access' })
  return { member, client, party, accessToken: tokens.access_token, refreshToken: tokens.refresh_token ?? '' }
}

const introspect = (client: GivenClient, token: string) => post(server, '/introspect', { token }, { client })

describe('RFC 7662: introspection', () => {
  test('section 2.1: who does not prove to be a client is told nothing', async () => {
    const { client, accessToken } = await givenTokens()
    const nobody = await post(server, '/introspect', { token: accessToken })
    expect(nobody.status).toBe(400)
    const impostor = await introspect({ ...client, secret: 'wrong' }, accessToken)
    expect([impostor.status, impostor.json.error]).toEqual([401, 'invalid_client'])
  })

  test("section 4: another client's token is inactive, and nothing more is said", async () => {
    const { accessToken, refreshToken } = await givenTokens()
    const stranger = await givenClient(server)
    expect((await introspect(stranger, accessToken)).json).toEqual({ active: false })
    expect((await introspect(stranger, refreshToken)).json).toEqual({ active: false })
  })

  test('section 4: a public client, which anybody can say to be, is told nothing of its own tokens', async () => {
    const [member, client] = [await givenMember(server), await givenClient(server, { authMethod: 'none' })]
    const tokens = await signIn(await relyingParty(server, client), openBrowser(), member)
    expect((await introspect(client, tokens.access_token)).json).toEqual({ active: false })
  })

  test('section 2.2: a token nobody gave is inactive, and nothing more is said', async () => {
    expect((await introspect(await givenClient(server), 'made-up')).json).toEqual({ active: false })
  })

  test.each<[string, (memberId: string) => Promise<unknown>]>([
    ['the grant is revoked', (memberId) => revokeGrants(server.db, { memberId }, server.now())],
    ['the member is suspended', (id) => suspendMember(server.db, id, undefined, server.now())],
    [
      'the member signs out everywhere',
      (id) => endSessions(server.db, id, 'member', new Date(server.now().getTime() + 1000)),
    ],
  ])('when %s, its tokens are inactive at once', async (_, act) => {
    const { client, member, accessToken, refreshToken } = await givenTokens()
    await act(member.id)
    expect((await introspect(client, accessToken)).json).toEqual({ active: false })
    expect((await introspect(client, refreshToken)).json).toEqual({ active: false })
  })

  test('section 2.2: a client learns of its own tokens whose they are, for what and how long', async () => {
    const { party, member, accessToken, refreshToken } = await givenTokens()
    const about = await oidc.tokenIntrospection(party.config, accessToken)
    const common = { active: true, sub: member.id, client_id: party.id, iss: server.issuer }
    expect(about).toMatchObject({ ...common, scope: 'openid email offline_access', token_type: 'Bearer' })
    // RFC 9470 section 6.2
    expect(about.auth_time).toBeLessThanOrEqual(about.iat ?? 0)
    expect((about.exp ?? 0) - (about.iat ?? 0)).toBe(3600)
    expect(await oidc.tokenIntrospection(party.config, refreshToken)).toMatchObject(common)
  })
})

describe('RFC 7662 section 4: the server of an API', () => {
  let introspector: GivenClient
  let api: string
  beforeAll(async () => {
    introspector = await givenClient(server, { profile: 'machine' })
    api = await givenResource(server, { tokenFormat: 'opaque', introspectorId: introspector.id })
  })

  /** A member's token for an API. */
  async function givenApiToken(resource = api) {
    const member = await givenMember(server)
    const party = await relyingParty(server, await givenClient(server, { resources: [{ id: resource }] }))
    const attempt = await begin(party, { resource, scope: 'openid orders:read' })
    const form = {
      grant_type: 'authorization_code',
      code: (await authorize(party, openBrowser(), member, attempt.url)).searchParams.get('code') ?? '',
      redirect_uri: party.redirectUri,
      code_verifier: attempt.codeVerifier,
      resource,
    }
    const { json } = await post(server, '/token', form, { client: party })
    return { member, party, token: String(json.access_token) }
  }

  test('is told nothing of tokens for other APIs, or for none', async () => {
    const other = await givenResource(server, { tokenFormat: 'opaque' })
    expect((await introspect(introspector, (await givenApiToken(other)).token)).json).toEqual({
      active: false,
    })
    const { accessToken, refreshToken } = await givenTokens()
    expect((await introspect(introspector, accessToken)).json).toEqual({ active: false })
    expect((await introspect(introspector, refreshToken)).json).toEqual({ active: false })
  })

  test('a public client is told nothing, also where it was named for an API', async () => {
    const open = await givenClient(server, { profile: 'spa' })
    const resource = await givenResource(server, { tokenFormat: 'opaque', introspectorId: open.id })
    expect((await introspect(open, (await givenApiToken(resource)).token)).json).toEqual({ active: false })
  })

  test('section 2.2: a token is inactive at once when its API is disabled, and when its member is suspended', async () => {
    const resource = await givenResource(server, { tokenFormat: 'opaque', introspectorId: introspector.id })
    const [first, second] = [await givenApiToken(resource), await givenApiToken()]
    for (const { token } of [first, second])
      expect((await introspect(introspector, token)).json.active).toBe(true)
    await inTransaction(server.db, (tx) => disableResource(tx, resource, server.now()))
    expect((await introspect(introspector, first.token)).json).toEqual({ active: false })
    await inTransaction(server.db, (tx) => suspendMember(tx, second.member.id, undefined, server.now()))
    expect((await introspect(introspector, second.token)).json).toEqual({ active: false })
  })

  test('a token that the API verifies itself (RFC 9068) is not introspected', async () => {
    const resource = await givenResource(server, { introspectorId: introspector.id })
    const answer = await introspect(introspector, (await givenApiToken(resource)).token)
    expect([answer.status, answer.json.error]).toEqual([400, 'unsupported_token_type'])
  })

  test('learns of the tokens that are meant for it whose they are and for what', async () => {
    const { member, party, token } = await givenApiToken()
    expect((await introspect(introspector, token)).json).toMatchObject({
      active: true,
      sub: member.id,
      client_id: party.id,
      aud: api,
      scope: 'orders:read',
      auth_time: expect.any(Number),
    })
  })
})
