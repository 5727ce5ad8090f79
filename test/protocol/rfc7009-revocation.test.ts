import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember, givenResource } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

async function givenTokens(authMethod: 'client_secret_basic' | 'none' = 'client_secret_basic') {
  const [member, client] = [await givenMember(server), await givenClient(server, { authMethod })]
  const party = await relyingParty(server, client)
  const tokens = await signIn(party, openBrowser(), member, { scope: 'openid offline_access' })
  return { member, client, party, accessToken: tokens.access_token, refreshToken: tokens.refresh_token ?? '' }
}

const userinfo = async (token: string) =>
  (await send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status

const refresh = (client: GivenClient, token: string) =>
  post(server, '/token', { grant_type: 'refresh_token', refresh_token: token }, { client })

describe('RFC 7009: revocation', () => {
  test('section 2.1: who does not prove to be the client revokes nothing', async () => {
    const { client, accessToken } = await givenTokens()
    const answer = await post(
      server,
      '/revoke',
      { token: accessToken },
      { client: { ...client, secret: 'wrong' } },
    )
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
    expect(await userinfo(accessToken)).toBe(200)
  })

  test.each(['client_secret_basic', 'none'] as const)(
    "section 2.1: another client (%s) cannot revoke a client's tokens",
    async (authMethod) => {
      const { client, accessToken, refreshToken } = await givenTokens()
      const stranger = await givenClient(server, { authMethod })
      for (const token of [accessToken, refreshToken]) {
        await post(server, '/revoke', { token }, { client: stranger })
      }
      expect(await userinfo(accessToken)).toBe(200)
      expect((await refresh(client, refreshToken)).status).toBe(200)
    },
  )

  test('section 2.2: a token nobody gave is answered like one that was', async () => {
    const answer = await post(server, '/revoke', { token: 'made-up' }, { client: await givenClient(server) })
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([200, '', undefined])
  })

  test('section 2.2.1: a token that APIs verify themselves (RFC 9068) cannot be revoked, and that is said', async () => {
    const resources = [{ id: await givenResource(server) }]
    const client = await givenClient(server, { profile: 'machine', resources })
    const { json } = await post(server, '/token', { grant_type: 'client_credentials' }, { client })
    const answer = await post(server, '/revoke', { token: String(json.access_token) }, { client })
    expect([answer.status, answer.json.error]).toEqual([400, 'unsupported_token_type'])
  })

  test('an access token is over when revoked; the refresh token gives another', async () => {
    const { client, party, accessToken, refreshToken } = await givenTokens()
    await oidc.tokenRevocation(party.config, accessToken)
    expect(await userinfo(accessToken)).toBe(401)
    expect((await refresh(client, refreshToken)).status).toBe(200)
  })

  test.each(['client_secret_basic', 'none'] as const)(
    'section 2.1: with a refresh token end the access tokens of its grant (%s)',
    async (authMethod) => {
      const { client, party, accessToken, refreshToken } = await givenTokens(authMethod)
      await oidc.tokenRevocation(party.config, refreshToken)
      expect((await refresh(client, refreshToken)).json.error).toBe('invalid_grant')
      expect(await userinfo(accessToken)).toBe(401)
    },
  )
})
