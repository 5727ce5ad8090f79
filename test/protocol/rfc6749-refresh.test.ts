import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createPasswordHasher } from '../../src/members/credentials/password.ts'
import { endSessions } from '../../src/members/member.ts'
import { setPassword } from '../../src/members/password.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { disableClient } from '../../src/oidc/clients/client.ts'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { digest } from '../../src/security/digest.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

interface Signed {
  member: GivenMember
  client: GivenClient
  refreshToken: string
  accessToken: string
}

/** A new member with a refresh token at a new client. */
async function givenRefreshToken(
  scope = 'openid email offline_access',
  authMethod: NewClient['authMethod'] = 'none',
): Promise<Signed> {
  const [member, client] = [await givenMember(server), await givenClient(server, { authMethod })]
  const tokens = await signIn(await relyingParty(server, client), openBrowser(), member, { scope })
  return {
    member,
    client,
    refreshToken: tokens.refresh_token ?? '',
    accessToken: tokens.access_token,
  }
}

function refresh(client: GivenClient, refreshToken: unknown, more: object = {}, origin = server.issuer) {
  const form = { grant_type: 'refresh_token', refresh_token: String(refreshToken), ...more }
  return post(server, '/token', form, { client, origin })
}

const userinfo = async (accessToken: unknown) =>
  (await send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${accessToken}` } })).status

describe('RFC 6749 section 6: a refresh token belongs to one client and one scope', () => {
  test('without offline_access there is none', async () => {
    const { refreshToken } = await givenRefreshToken('openid')
    expect(refreshToken).toBe('')
  })

  test('another client is refused, and the owner is not harmed by the try', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const answer = await refresh(await givenClient(server), refreshToken)
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_grant'])
    expect((await refresh(client, refreshToken)).status).toBe(200)
  })

  test('who has the token of a confidential client but not its secret is refused', async () => {
    const { client, refreshToken } = await givenRefreshToken(undefined, 'client_secret_basic')
    const answer = await refresh({ ...client, secret: '' }, refreshToken)
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  test('a scope is never widened', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const answer = await refresh(client, refreshToken, { scope: 'openid email profile' })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_scope'])
  })

  test('a narrower scope holds for that access token, and the next refresh may have the whole again', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const narrow = await refresh(client, refreshToken, { scope: 'openid' })
    expect(narrow.json.scope).toBe('openid')
    const whole = await refresh(client, narrow.json.refresh_token)
    expect(whole.json.scope).toBe('openid email offline_access')
  })
})

/** How many statements of this database wait for a row that somebody else holds. */
async function waitingForLocks(): Promise<number> {
  const [row] = await server.db.$queryRaw<[{ count: bigint }]>`
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'`
  return Number(row.count)
}

describe('RFC 9700 section 4.14: refresh tokens rotate', () => {
  test('a rotated token used again ends the whole family', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const next = await refresh(client, refreshToken)
    const reuse = await refresh(client, refreshToken)
    expect([reuse.status, reuse.json.error]).toEqual([400, 'invalid_grant'])
    expect((await refresh(client, next.json.refresh_token)).json.error).toBe('invalid_grant')
    expect(await userinfo(next.json.access_token)).toBe(401)
  })

  test('of 50 who redeem one token at once, at two processes, one gets tokens, and the family ends', async () => {
    const peer = await server.startPeer()
    const { client, refreshToken } = await givenRefreshToken()
    const origins = [server.issuer, peer.origin]
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => refresh(client, refreshToken, {}, origins[i % 2])),
    )
    await peer.close()
    const winners = answers.filter(({ status }) => status === 200)
    expect(winners).toHaveLength(1)
    const refused = answers.filter(({ status, json }) => status === 400 && json.error === 'invalid_grant')
    expect(refused).toHaveLength(49)
    expect((await refresh(client, winners[0]?.json.refresh_token)).json.error).toBe('invalid_grant')
    expect(await userinfo(winners[0]?.json.access_token)).toBe(401)
  })

  test('of two who redeem one token at once, the loser ends what the winner got', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const answers = await Promise.all([refresh(client, refreshToken), refresh(client, refreshToken)])
    const [winner] = answers.filter(({ status }) => status === 200)
    expect((await refresh(client, winner?.json.refresh_token)).json.error).toBe('invalid_grant')
  })

  test('of two processes that both found one token unused, one rotates it, and the other ends the family', async () => {
    const { client, member, refreshToken } = await givenRefreshToken()
    const peer = await server.startPeer()
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken }
    // While the grant is held, both have looked the token up and neither has rotated it.
    const answers = await server.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT 1 FROM "Grant" WHERE "memberId" = ${member.id}::uuid FOR UPDATE`
      const sent = [server.issuer, peer.origin].map((origin) =>
        post(server, '/token', form, { client, origin }),
      )
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(2), { interval: 20 })
      return sent
    })
    const settled = await Promise.all(answers)
    await peer.close()
    expect(settled.map(({ status }) => status).sort()).toEqual([200, 400])
    const winner = settled.find(({ status }) => status === 200)
    expect((await refresh(client, String(winner?.json.refresh_token))).json.error).toBe('invalid_grant')
    expect(await userinfo(String(winner?.json.access_token))).toBe(401)
  })

  test('the token of a confidential client rotates as well, and its second use ends the family', async () => {
    const { client, refreshToken } = await givenRefreshToken(undefined, 'client_secret_basic')
    const next = (await refresh(client, refreshToken)).json.refresh_token
    expect(next).not.toBe(refreshToken)
    expect((await refresh(client, refreshToken)).json.error).toBe('invalid_grant')
    expect((await refresh(client, next)).json.error).toBe('invalid_grant')
  })

  test('a token rotates as often as it is used, and each works once', async () => {
    const { client, refreshToken, member } = await givenRefreshToken()
    let token: unknown = refreshToken
    for (let turn = 0; turn < 3; turn += 1) {
      const { status, json } = await refresh(client, token)
      expect(status).toBe(200)
      expect(json.refresh_token).not.toBe(token)
      token = json.refresh_token
    }
    const claims = JSON.parse(
      Buffer.from(
        String((await refresh(client, token)).json.id_token).split('.')[1] ?? '',
        'base64url',
      ).toString(),
    )
    expect(claims.sub).toBe(member.id)
  })

  test('the table holds a digest, and the digest is no token', async () => {
    const { client, refreshToken } = await givenRefreshToken()
    const rows = JSON.stringify(await server.db.refreshToken.findMany())
    expect(rows).toContain(digest(refreshToken))
    expect(rows).not.toContain(refreshToken)
    expect((await refresh(client, digest(refreshToken))).json.error).toBe('invalid_grant')
  })
})

describe('RFC 9700 section 4.14.2: what ends a refresh token', () => {
  const hasher = createPasswordHasher(1, { memoryKiB: 1024, passes: 2 })
  /** Sessions are told apart by whole seconds. */
  const aSecondLater = () => new Date(server.now().getTime() + 1000)

  test.each<[string, (signed: Signed) => Promise<unknown>, string]>([
    [
      'the grant is revoked',
      ({ member }) => revokeGrants(server.db, { memberId: member.id }, server.now()),
      'invalid_grant',
    ],
    [
      'the member is suspended',
      ({ member }) => suspendMember(server.db, member.id, undefined, server.now()),
      'invalid_grant',
    ],
    [
      'the password is changed',
      ({ member }) =>
        setPassword(
          { db: server.db, hasher },
          { memberId: member.id, password: 'copper meadow window', by: 'recovery' },
          aSecondLater(),
        ),
      'invalid_grant',
    ],
    [
      'the member signs out everywhere',
      ({ member }) => endSessions(server.db, member.id, 'member', aSecondLater()),
      'invalid_grant',
    ],
    [
      'the client is disabled',
      ({ client }) => disableClient(server.db, client.id, server.now()),
      'invalid_client',
    ],
  ])('when %s, the refresh and the access token are refused', async (_, act, error) => {
    const signed = await givenRefreshToken()
    await act(signed)
    expect((await refresh(signed.client, signed.refreshToken)).json.error).toBe(error)
    expect(await userinfo(signed.accessToken)).toBe(401)
  })

  test('a rotated token is no younger than the first: signing out everywhere ends it too', async () => {
    const { client, member, refreshToken } = await givenRefreshToken()
    const next = await refresh(client, refreshToken)
    await endSessions(server.db, member.id, 'member', aSecondLater())
    expect((await refresh(client, next.json.refresh_token)).json.error).toBe('invalid_grant')
  })
})
