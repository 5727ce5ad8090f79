import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endSessions } from '../../src/members/member.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember } from '../support/given.ts'
import { post } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

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
