import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { getUsableConnection } from '../../src/connections/connection.ts'
import { kindOf } from '../../src/connections/kinds.ts'
import { createOidcConnector, type OidcConnector } from '../../src/connections/oidc.ts'
import type { Connection, KindName } from '../../src/connections/settings.ts'
import { createOutbound } from '../../src/http/outbound.ts'
import { sealContext } from '../../src/linking/tokens/token-vault.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenMember } from '../support/given.ts'
import { changesOf, linkThrough, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import type { OAuth2Server } from '../support/oauth2-server.ts'
import { endpointsAt, givenOAuth2, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let club: OAuth2Server
let connector: OidcConnector
let fetch: ReturnType<typeof createOutbound>
beforeAll(async () => {
  server = await startLinkingApp()
  club = await givenOAuth2(server, { id: 'club' })
  fetch = createOutbound(server.privateHosts)
  connector = createOidcConnector({ sealer: server.sealer, fetch, now: server.now })
})
afterAll(async () => {
  await Promise.all([server.close(), club.close(), fetch.close()])
})

let member: GivenMember
let browser: Browser
let count = 0
beforeEach(async () => {
  Object.assign(club.behavior, { decline: false, answers: {}, expiresIn: 3600 })
  club.behavior.userinfo = { id: `member-${++count}`, name: 'Hanako club', email: 'hana@club.example' }
  club.requests.length = 0
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

const identityOf = ({ id }: GivenMember) =>
  server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: id } })

async function tokensOf({ id }: GivenMember) {
  const identity = await identityOf({ id } as GivenMember)
  const { sealed } = await server.db.upstreamToken.findUniqueOrThrow({ where: { id: identity.id } })
  return JSON.parse(server.sealer.open(sealed, sealContext(identity.id)))
}

describe('an OAuth 2.0 upstream', () => {
  test('is linked by what its userinfo says, with the issuer the operator gave it', async () => {
    await linkThrough(server, browser, 'club')
    expect(await identityOf(member)).toMatchObject({
      issuer: club.origin,
      subject: `member-${count}`,
      profile: { name: 'Hanako club', email: 'hana@club.example' },
    })
  })

  test('gets a code challenge and no word of OpenID Connect; the token is in the header alone', async () => {
    await linkThrough(server, browser, 'club')
    const [authorize, token, me] = club.requests
    expect([...(authorize?.query.keys() ?? [])].sort()).toEqual([
      ...['client_id', 'code_challenge', 'code_challenge_method', 'redirect_uri', 'response_type'],
      ...['scope', 'state'],
    ])
    expect(authorize?.query.get('code_challenge_method')).toBe('S256')
    expect(token?.form.get('code_verifier')).toMatch(/^[\w-]{43}/)
    expect(me?.authorization).toMatch(/^Bearer access-/)
    expect(`${me?.query}`).toBe('')
  })

  test('signs in whom it has been linked to', async () => {
    await linkThrough(server, browser, 'club')
    const other = visitor()
    const form = await other.open(`${server.issuer}/account`)
    const page = await other.submit(form, '/connections/club')
    expect(page.url.pathname).toBe('/account')
    expect(page.html).toContain('Hanako club')
  })

  test('whose member declines links nothing', async () => {
    club.behavior.decline = true
    const changes = await changesOf(server, () => pressLink(server, browser, 'club'))
    expect(changes.result.url.search).toContain('notice=declined')
    expect(changes.rows).toEqual({})
    expect(typesOf(changes)).toEqual(['link.declined'])
  })

  test('is believed about an address only where it is mapped, trusted and true', async () => {
    const { settings } = await getUsableConnection(server.db, 'club')
    const claims = {
      ...settings.claims,
      subject: 'id',
      subjectType: 'text' as const,
      emailVerified: 'checked',
    }
    const trusting = await givenOAuth2(server, { id: 'trusting', settings: { claims, trustEmail: true } })
    trusting.behavior.userinfo = { id: 'a', email: 'a@club.example', checked: 'true' }
    const words = []
    for (const checked of ['true', 1, true]) {
      trusting.behavior.userinfo = { id: 'a', email: 'a@club.example', checked }
      const connection = await getUsableConnection(server.db, 'trusting')
      words.push((await complete(trusting, connection)).identity.emailVerified)
    }
    await trusting.close()
    expect(words).toEqual([false, false, true])
  })

  test('is no way to prove a recent sign-in, and is not offered as one', async () => {
    await linkThrough(server, browser, 'club')
    const page = await browser.open(`${server.issuer}/account/connections/club/unlink`)
    expect(page.status).toBe(200)
    server.advance(3600)
    const again = await browser.open(`${server.issuer}/account/connections/club/unlink`)
    expect(again.url.pathname).toMatch(/sign-in$/)
    expect(again.html).not.toContain('/connections/club"')
    const connection = await getUsableConnection(server.db, 'club')
    const attempt = { ...attemptFor(connection), forceSignIn: true }
    await expect(connector.authorizationUrl(connection, attempt)).rejects.toThrow('connection_unavailable')
  })
})

test('an upstream that cannot ask anew does not prove whose account is wanted by two members', async () => {
  const card = await givenOAuth2(server, { id: 'card', allowSignIn: false })
  await linkThrough(server, browser, 'card')
  const claimant = await signInTo(server, await givenMember(server))
  const { url } = await pressLink(server, claimant, 'card')
  const page = await claimant.open(`${server.issuer}${url.pathname}/owner`)
  await card.close()
  expect(page.status).toBe(200)
  expect(page.html).toContain('name="password"')
  expect(page.html).not.toContain('owner/connections/club')
})

describe('upstream tokens', () => {
  test('are kept with when they run out', async () => {
    await linkThrough(server, browser, 'club')
    const { expiresAt, refreshToken } = await tokensOf(member)
    expect(refreshToken).toMatch(/^refresh-/)
    expect(Math.abs(expiresAt - server.now().getTime() / 1000 - 3600)).toBeLessThan(60)
  })

  test('say nothing of an end that the upstream does not tell', async () => {
    club.behavior.expiresIn = null
    await linkThrough(server, browser, 'club')
    expect(await tokensOf(member)).not.toHaveProperty('expiresAt')
  })

  test('are refreshed; a refresh token that is used up means the upstream stands behind them no more', async () => {
    const connection = await getUsableConnection(server.db, 'club')
    const { tokens } = await complete(club, connection)
    const first = await connector.refresh(connection, withRefresh(tokens))
    if (first.outcome !== 'refreshed') throw new Error('not refreshed')
    expect(first.tokens.accessToken).not.toBe(tokens.accessToken)
    expect(await connector.refresh(connection, withRefresh(tokens))).toEqual({ outcome: 'revoked' })
    club.revokeEverything()
    expect(await connector.refresh(connection, withRefresh(first.tokens))).toEqual({ outcome: 'revoked' })
  })

  test.each<[string, OAuth2Server['behavior']['answers'][string]]>([
    ['is down', (response) => response.destroy()],
    ['has a fault', (response) => response.writeHead(500).end()],
    ['does not know us', (response) => refuse(response, 401, 'invalid_client')],
    ['is busy', (response) => refuse(response, 400, 'temporarily_unavailable')],
  ])('are not given up while the upstream %s', async (_, answer) => {
    const connection = await getUsableConnection(server.db, 'club')
    const { tokens } = await complete(club, connection)
    club.behavior.answers = { '/token': answer }
    await expect(connector.refresh(connection, withRefresh(tokens))).rejects.toThrow()
    club.behavior.answers = {}
    expect((await connector.refresh(connection, withRefresh(tokens))).outcome).toBe('refreshed')
  })

  test('end at the revocation endpoint with the refresh token when a member unlinks', async () => {
    await linkThrough(server, browser, 'club')
    const { refreshToken } = await tokensOf(member)
    const page = await browser.open(`${server.issuer}/account/connections/club/unlink`)
    await changesOf(server, () => browser.submit(page, '/unlink'))
    const revoked = club.requests.find(({ path }) => path === '/revoke')
    expect(revoked?.form.get('token')).toBe(refreshToken)
  })
})

describe('presets of OAuth 2.0', () => {
  /** What each documents its userinfo to be. */
  const documented: [KindName, object, { subject: string; profile: object }][] = [
    [
      'amazon',
      { user_id: 'amzn1.account.ABC', name: 'Hanako', email: 'hana@example.com', postal_code: '150-0001' },
      { subject: 'amzn1.account.ABC', profile: { name: 'Hanako', email: 'hana@example.com' } },
    ],
    [
      'x',
      { data: { id: '2244994945', name: 'Hanako', username: 'hanako' } },
      { subject: '2244994945', profile: { name: 'Hanako' } },
    ],
    [
      'facebook',
      { id: '10158', name: 'Hanako', email: 'hana@example.com' },
      { subject: '10158', profile: { name: 'Hanako', email: 'hana@example.com' } },
    ],
  ]

  test.each(documented)('%s: its userinfo names the account', async (kind, userinfo, expected) => {
    const { upstream, connection } = await givenPreset(kind)
    upstream.behavior.userinfo = userinfo
    const { identity } = await complete(upstream, connection)
    expect(identity).toMatchObject({ ...expected, issuer: upstream.origin, emailVerified: false })
    await upstream.close()
  })

  test('Facebook: a link that ends takes every permission back, as the application', async () => {
    const { upstream, connection } = await givenPreset('facebook')
    upstream.behavior.answers = { '/10158/permissions': (response) => response.end('true') }
    await connector.revoke(connection, '10158', { accessToken: 'ran out long ago' })
    expect(upstream.requests.at(-1)).toMatchObject({
      method: 'DELETE',
      path: '/10158/permissions',
      authorization: 'Bearer hitotsu|a secret of one test',
    })
    upstream.behavior.answers = { '/10158/permissions': (response) => response.writeHead(503).end() }
    await expect(connector.revoke(connection, '10158', { accessToken: 'any' })).rejects.toThrow('503')
    await upstream.close()
  })

  async function givenPreset(kind: KindName) {
    const { clientAuthentication, endpoints = {}, claims } = kindOf(kind).settings
    const id = `preset-${kind}-${count}`
    const upstream = await givenOAuth2(server, { id: `base-${kind}-${count}` }, { clientAuthentication })
    const here = endpointsAt(upstream.origin)
    const { search } = new URL(endpoints.userinfo ?? '')
    await givenConnection(server, {
      id,
      kind,
      issuer: upstream.origin,
      clientSecret: 'a secret of one test',
      settings: { endpoints: { ...here, userinfo: here.userinfo + search }, ...(claims && { claims }) },
    })
    return { upstream, connection: await getUsableConnection(server.db, id) }
  }
})

const attemptFor = ({ id }: Connection) => ({
  redirectUri: `${server.issuer}/connections/${id}/callback`,
  state: 'a-state-that-is-long-enough',
  nonce: 'nonce',
  codeVerifier: 'a-verifier-that-is-long-enough-for-rfc-7636-4.1',
  locale: 'en' as const,
  forceSignIn: false,
  isRetry: false,
})

/** To the upstream and back, without a browser of ours. */
async function complete(upstream: OAuth2Server, connection: Connection) {
  const attempt = attemptFor(connection)
  const url = await connector.authorizationUrl(connection, attempt)
  expect(url.origin).toBe(upstream.origin)
  const response = await globalThis.fetch(url, { redirect: 'manual' })
  const { searchParams } = new URL(response.headers.get('location') ?? '')
  const answer = await connector.complete(connection, attempt, searchParams)
  if (answer.outcome !== 'verified') throw new Error(answer.outcome)
  return answer
}

function withRefresh<T extends { refreshToken?: string }>(tokens: T): T & { refreshToken: string } {
  const { refreshToken } = tokens
  if (!refreshToken) throw new Error('there is no refresh token')
  return { ...tokens, refreshToken }
}

function refuse(
  response: Parameters<OAuth2Server['behavior']['answers'][string]>[0],
  status: number,
  error: string,
): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
}
