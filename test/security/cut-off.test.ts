import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableConnection, enableConnection } from '../../src/connections/connection.ts'
import { disableConnectionAndSessions } from '../../src/linking/disable-connection.ts'
import { reactivateMember, suspendMember } from '../../src/members/suspension.ts'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { inTransaction, type Tx } from '../../src/store/db.ts'
import type { Browser } from '../support/browser.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, visitor } from '../support/linking.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
const upstreams: UpstreamProvider[] = []
beforeAll(async () => {
  server = await startLinkingApp()
})
afterAll(async () => {
  await Promise.all([server.close(), ...upstreams.map((one) => one.close())])
})

const scope = 'openid email offline_access'
let made = 0

/** A member with a password and an upstream account, who has signed in with both and uses a relying party. */
async function givenInUse() {
  const connectionId = `upstream-${++made}`
  const subject = `subject-${made}`
  const upstream = await givenUpstream(server, { id: connectionId })
  upstream.behavior.subject = subject
  upstreams.push(upstream)
  const member = await givenMember(server)
  await givenIdentity(server, { memberId: member.id, connectionId, subject })
  await signInThrough(connectionId)
  const party = await relyingParty(
    server,
    await givenClient(server, { scopes: ['openid', 'email', 'offline_access'] }),
  )
  const browser = visitor()
  const tokens = await signIn(party, browser, member, { scope })
  const attempt = await begin(party, { scope: 'openid email' })
  const callback = await authorize(party, browser, member, attempt.url)
  return { connectionId, member, party, browser, tokens, attempt, callback }
}
type InUse = Awaited<ReturnType<typeof givenInUse>>

/** Where a visitor gets who signs in with the upstream account. */
async function signInThrough(connectionId: string): Promise<string> {
  const browser = visitor()
  const page = await browser.open(`${server.issuer}/account`)
  if (!page.html.includes(`/connections/${connectionId}"`)) return 'not offered'
  return (await browser.submit(page, `/connections/${connectionId}`)).url.pathname
}

async function answerTo({ redirectUri }: RelyingParty, browser: Browser, url: URL): Promise<string> {
  browser.stopAt(redirectUri)
  const page = await browser.open(url)
  browser.stopAt(undefined)
  return page.url.searchParams.has('code') ? 'accepted' : 'refused'
}

const outcome = (isAccepted: boolean) => (isAccepted ? 'accepted' : 'refused')

/** Every way in or on; each says whether it still leads anywhere. */
const ways: Record<string, (used: InUse) => Promise<string>> = {
  'authorization with a session': async ({ party, browser }) =>
    answerTo(party, browser, (await begin(party, { scope: 'openid email' })).url),
  'prompt=none': async ({ party, browser }) =>
    answerTo(party, browser, (await begin(party, { scope: 'openid email', prompt: 'none' })).url),
  'a code that was given before': async ({ party, attempt, callback }) => {
    const form = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: party.redirectUri,
      code_verifier: attempt.codeVerifier,
    }
    return outcome((await post(server, '/token', form, { client: party })).status === 200)
  },
  userinfo: async ({ tokens }) => {
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    return outcome((await send(`${server.issuer}/userinfo`, { headers })).status === 200)
  },
  'introspection of the access token': async ({ party, tokens }) => {
    const form = { token: tokens.access_token }
    return outcome((await post(server, '/introspect', form, { client: party })).json.active === true)
  },
  'introspection of the refresh token': async ({ party, tokens }) => {
    const form = { token: tokens.refresh_token ?? '' }
    return outcome((await post(server, '/introspect', form, { client: party })).json.active === true)
  },
  refresh: async ({ party, tokens }) => {
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
    return outcome((await post(server, '/token', form, { client: party })).status === 200)
  },
  'the account page with a session': async ({ browser }) =>
    outcome((await browser.open(`${server.issuer}/account`)).url.pathname === '/account'),
  'a new sign-in by password': async ({ member: { email, password } }) => {
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    await browser.submit(form, '/sign-in', { email, password })
    return outcome((await browser.open(`${server.issuer}/account`)).url.pathname === '/account')
  },
  'a new sign-in through the connection': async ({ connectionId }) =>
    outcome((await signInThrough(connectionId)) === '/account'),
}

const atTheAccount = ['the account page with a session', 'a new sign-in by password']
const setStatus =
  (status: 'deleted' | 'absorbed') =>
  (tx: Tx, { member }: InUse) =>
    tx.member.update({ where: { id: member.id }, data: { status } })

/** Who is cut off, how, and what goes on for the member all the same. */
const cuts: [who: string, cut: (tx: Tx, used: InUse) => Promise<unknown>, goesOn: string[]][] = [
  ['a suspended member', (tx, { member }) => suspendMember(tx, member.id, undefined, server.now()), []],
  ['a deleted member', setStatus('deleted'), []],
  ['an absorbed member', setStatus('absorbed'), []],
  [
    'a disabled client',
    (tx, { party }) => disableClient(tx, party.id, server.now()),
    [...atTheAccount, 'a new sign-in through the connection'],
  ],
  [
    'a disabled connection',
    (_tx, { connectionId }) => disableConnectionAndSessions(server.db, connectionId, server.now()),
    ['a new sign-in by password'],
  ],
]

describe('nobody is cut off', () => {
  let used: InUse
  beforeAll(async () => {
    used = await givenInUse()
  })
  test.each(Object.keys(ways))('%s is accepted', async (way) => {
    expect(await ways[way]?.(used)).toBe('accepted')
  })
})

describe.each(cuts)('%s is cut off', (_, cut, goesOn) => {
  let used: InUse
  beforeAll(async () => {
    used = await givenInUse()
    await inTransaction(server.db, (tx) => cut(tx, used))
    // A change made behind the server's back is seen within a second.
    server.advance(1)
  })
  test.each(Object.keys(ways).filter((way) => !goesOn.includes(way)))('%s is refused', async (way) => {
    expect(await ways[way]?.(used)).toBe('refused')
  })
  if (goesOn.length > 0)
    test.each(goesOn)('%s goes on', async (way) => {
      expect(await ways[way]?.(used)).toBe('accepted')
    })
})

describe('coming back', () => {
  test('a reactivated member signs in again; sessions and tokens from before stay ended', async () => {
    const used = await givenInUse()
    const { id } = used.member
    await inTransaction(server.db, (tx) => suspendMember(tx, id, 'stolen-account', server.now()))
    const back = await changesOf(server, () =>
      inTransaction(server.db, (tx) => reactivateMember(tx, id, server.now())),
    )
    expect(back.events).toEqual([{ type: 'member.reactivated', memberId: id, data: { by: 'operator' } }])
    for (const way of ['the account page with a session', 'prompt=none', 'userinfo', 'refresh'])
      expect([way, await ways[way]?.(used)]).toEqual([way, 'refused'])
    expect(await ways['a new sign-in by password']?.(used)).toBe('accepted')
  })

  test.each(['deleted', 'absorbed'] as const)('a member who was %s does not come back', async (status) => {
    const { id } = await givenMember(server)
    await server.db.member.update({ where: { id }, data: { status } })
    for (const act of [reactivateMember, (tx: Tx) => suspendMember(tx, id, undefined, server.now())])
      expect(await inTransaction(server.db, (tx) => act(tx, id, server.now()))).toBe(false)
    expect((await server.db.member.findUniqueOrThrow({ where: { id } })).status).toBe(status)
  })

  test('a suspension is recorded once, with its reason and the end of the sessions', async () => {
    const { id } = await givenMember(server)
    const suspend = () => inTransaction(server.db, (tx) => suspendMember(tx, id, 'fraud', server.now()))
    const { result, events } = await changesOf(server, async () => [await suspend(), await suspend()])
    expect(result).toEqual([true, false])
    expect(events).toEqual([
      { type: 'member.suspended', memberId: id, data: { by: 'operator', reason: 'fraud' } },
      { type: 'sessions.ended', memberId: id, data: { reason: 'suspended' } },
    ])
  })

  test('a connection that is enabled again signs in again; sessions from before stay ended', async () => {
    const used = await givenInUse()
    const { connectionId } = used
    await disableConnectionAndSessions(server.db, connectionId, server.now())
    const enable = () => inTransaction(server.db, (tx) => enableConnection(tx, connectionId, server.now()))
    const { result, events } = await changesOf(server, async () => [await enable(), await enable()])
    expect(result).toEqual([true, false])
    expect(events).toEqual([{ type: 'connection.enabled', memberId: null, data: { connectionId } }])
    expect(await ways['the account page with a session']?.(used)).toBe('refused')
    expect(await ways['a new sign-in through the connection']?.(used)).toBe('accepted')
  })
})

describe('disabling a connection', () => {
  test('signs out who has signed in through it, and nobody who has only linked it', async () => {
    const { connectionId, member } = await givenInUse()
    const linked = await givenMember(server)
    await givenIdentity(server, { memberId: linked.id, connectionId })
    const { events } = await changesOf(server, () =>
      disableConnectionAndSessions(server.db, connectionId, server.now()),
    )
    expect(events).toEqual([
      { type: 'connection.disabled', memberId: null, data: { connectionId } },
      {
        type: 'sessions.ended',
        memberId: member.id,
        data: { reason: 'connection_disabled', connectionId },
      },
    ])
  })

  test('goes on where it was cut short, through any number of members, each of them once', async () => {
    const { id: connectionId } = await givenConnection(server)
    const now = server.now()
    const sessionsValidFrom = new Date(now.getTime() - 60_000)
    const ids = Array.from({ length: 501 }, () => randomUUID())
    await server.db.member.createMany({
      data: ids.map((id) => ({ id, createdAt: now, updatedAt: now, sessionsValidFrom })),
    })
    await server.db.federatedIdentity.createMany({
      data: ids.map((memberId) => ({
        memberId,
        connectionId,
        issuer: 'https://many.example.com',
        subject: memberId,
        profile: {},
        linkedAt: now,
        lastUsedAt: now,
      })),
    })
    await inTransaction(server.db, (tx) => disableConnection(tx, connectionId, now))
    const run = () => disableConnectionAndSessions(server.db, connectionId, server.now())
    expect(await run()).toEqual({ changed: false, membersSignedOut: 501 })
    expect(await run()).toEqual({ changed: false, membersSignedOut: 0 })
    const ended = await server.db.event.count({ where: { type: 'sessions.ended', memberId: { in: ids } } })
    expect(ended).toBe(501)
  })
})
