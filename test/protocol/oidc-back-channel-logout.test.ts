import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableConnectionAndSessions } from '../../src/linking/disable-connection.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { endSessionsAt } from '../../src/oidc/client-session.ts'
import { disableClient } from '../../src/oidc/clients/client.ts'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { type LogoutReceiver, startLogoutReceiver, verifyLogoutToken } from '../support/logout-receiver.ts'
import { post } from '../support/post.ts'
import { givenRegistrationToken, register } from '../support/registration.ts'
import { type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

const privateHosts: string[] = []
let server: TestApp
let receiver: LogoutReceiver
beforeAll(async () => {
  receiver = await startLogoutReceiver()
  privateHosts.push(receiver.host)
  server = await startTestApp({ privateHosts })
})
afterAll(async () => {
  await Promise.all([server.close(), receiver.close()])
})

let parties = 0
/** A relying party that wants to hear of sign-outs, at a path of its own, and of which session it was. */
async function givenParty(
  metadata: Record<string, unknown> = {},
  input: Partial<NewClient> = {},
): Promise<RelyingParty> {
  const id = `party-${++parties}`
  const logout = { backchannel_logout_uri: receiver.uri(id), backchannel_logout_session_required: true }
  const client = await givenClient(server, {
    id,
    firstParty: true,
    metadata: { ...logout, ...metadata },
    ...input,
  })
  const { idTokenSigningAlg: alg } = input
  return relyingParty(server, client, undefined, alg && { id_token_signed_response_alg: alg })
}

const sidOf = ({ claims }: { claims(): Record<string, unknown> | undefined }) => claims()?.sid

/** Presses the button on our own pages, and agrees. */
async function signOut(browser: Browser): Promise<void> {
  const account = await browser.open(`${server.issuer}/account`)
  const page = await browser.submit(account, '/account/sign-out')
  await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
}

const told = async ({ id }: RelyingParty) => {
  await server.app.dispatcher.drain()
  return receiver.at(id)
}

describe('section 2.2: what a relying party registers', () => {
  const refused = (uri: string) => givenParty({ backchannel_logout_uri: uri })

  test.each([
    ['http', 'http://shop.example.com/logout', /https/],
    ['a scheme of its own', 'com.example.shop:/logout', /https/],
    ['a fragment', 'https://shop.example.com/logout#now', /fragment/],
    ['a user name', 'https://hanako@shop.example.com/logout', /user name/],
    ['no address at all', '/logout', /absolute/],
  ])('an address with %s is refused', async (_, uri, reason) => {
    await expect(refused(uri)).rejects.toThrow(reason)
    const token = await givenRegistrationToken(server)
    const redirectUris = ['https://shop.example.com/callback']
    const answer = await register(server, token, { redirect_uris: redirectUris, backchannel_logout_uri: uri })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_client_metadata'])
    expect(answer.json.error_description).toMatch(reason)
  })

  test('an https address is registered, by an administrator and by a client itself', async () => {
    const uri = 'https://shop.example.com/logout?tenant=1'
    await refused(uri)
    const answer = await register(server, await givenRegistrationToken(server), {
      redirect_uris: ['https://shop.example.com/callback'],
      backchannel_logout_uri: uri,
      backchannel_logout_session_required: true,
    })
    expect(answer.status).toBe(201)
    expect(answer.json).toMatchObject({
      backchannel_logout_uri: uri,
      backchannel_logout_session_required: true,
    })
  })
})

test('section 2.1: discovery says that logout and its sessions are supported', async () => {
  const response = await fetch(`${server.issuer}/.well-known/openid-configuration`)
  expect(await response.json()).toMatchObject({
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
  })
})

describe('section 2.4: the logout token', () => {
  test('has what the section asks for and nothing it forbids', async () => {
    const [party, browser, member] = [await givenParty(), openBrowser(), await givenMember(server)]
    const tokens = await signIn(party, browser, member)
    await signOut(browser)
    const [request] = await told(party)
    expect(request?.contentType).toBe('application/x-www-form-urlencoded')
    const { protectedHeader, payload } = await verifyLogoutToken(server, request?.token ?? '', party.id)
    expect(protectedHeader.alg).toBe('ES256')
    const { iat = 0, exp = 0, jti = '' } = payload
    expect(payload).toEqual({
      iss: server.issuer,
      aud: party.id,
      sub: member.id,
      sid: sidOf(tokens),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      ...{ iat, exp, jti },
    })
    expect([exp - iat, jti.length]).toEqual([120, 36])
  })

  test('is signed as the client’s ID tokens are', async () => {
    const party = await givenParty({}, { idTokenSigningAlg: 'RS256' })
    const browser = openBrowser()
    await signIn(party, browser, await givenMember(server))
    await signOut(browser)
    const [request] = await told(party)
    const { protectedHeader } = await verifyLogoutToken(server, request?.token ?? '', party.id)
    expect(protectedHeader.alg).toBe('RS256')
  })

  test('names no session to a client that does not ask for it, as its ID tokens do not', async () => {
    const party = await givenParty({ backchannel_logout_session_required: false })
    const [browser, member] = [openBrowser(), await givenMember(server)]
    expect(sidOf(await signIn(party, browser, member))).toBeUndefined()
    await signOut(browser)
    const [request] = await told(party)
    expect(request?.claims).toMatchObject({ sub: member.id })
    expect(request?.claims).not.toHaveProperty('sid')
  })

  test('means a member by the name that a pairwise client knows', async () => {
    const party = await givenParty({ subject_type: 'pairwise' })
    const [browser, member] = [openBrowser(), await givenMember(server)]
    const { sub } = (await signIn(party, browser, member)).claims() ?? {}
    await signOut(browser)
    const [request] = await told(party)
    expect(request?.claims.sub).toBe(sub)
    expect(sub).not.toBe(member.id)
  })
})

describe('section 2.5: who is told when a member signs out', () => {
  test('nobody but the relying parties of that browser that asked for it', async () => {
    const [party, stranger, member] = [await givenParty(), await givenParty(), await givenMember(server)]
    const [browser, other, deaf] = [
      openBrowser(),
      openBrowser(),
      await relyingParty(server, await givenClient(server)),
    ]
    const here = await signIn(party, browser, member)
    await signIn(deaf, browser, member)
    await signIn(party, other, member)
    await signOut(browser)
    expect((await told(party)).map(({ claims }) => claims.sid)).toEqual([sidOf(here)])
    expect(await told(stranger)).toEqual([])
    expect(await server.db.clientSession.count({ where: { memberId: member.id } })).toBe(1)
  })

  test('sign-out at one relying party is told to the other', async () => {
    const [a, b, browser] = [await givenParty(), await givenParty(), openBrowser()]
    const member = await givenMember(server)
    const { id_token: hint = '' } = await signIn(a, browser, member)
    const atB = await signIn(b, browser, member)
    const page = await browser.open(`${server.issuer}/sign-out?id_token_hint=${hint}`)
    await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect(await told(a)).toHaveLength(1)
    expect((await told(b)).map(({ claims }) => claims.sid)).toEqual([sidOf(atB)])
  })

  test('a member who stays signed in here leaves the relying party that asked, and no other', async () => {
    const [a, b, browser] = [await givenParty(), await givenParty(), openBrowser()]
    const member = await givenMember(server)
    const { id_token: hint = '' } = await signIn(a, browser, member)
    await signIn(b, browser, member)
    const page = await browser.open(`${server.issuer}/sign-out?id_token_hint=${hint}`)
    await browser.submit(page, '/sign-out/confirm')
    expect([(await told(a)).length, (await told(b)).length]).toEqual([1, 0])
  })

  test('who signs in and out again is told of twice', async () => {
    const [party, browser, member] = [await givenParty(), openBrowser(), await givenMember(server)]
    for (const times of [1, 2]) {
      await signIn(party, browser, member)
      await signOut(browser)
      expect(await told(party)).toHaveLength(times)
    }
    const [first, second] = receiver.at(party.id)
    expect(first?.claims.sid).not.toBe(second?.claims.sid)
    expect(first?.claims.jti).not.toBe(second?.claims.jti)
  })

  test('a client that was disabled is not', async () => {
    const [party, browser] = [await givenParty(), openBrowser()]
    await signIn(party, browser, await givenMember(server))
    await inTransaction(server.db, (tx) => disableClient(tx, party.id, server.now()))
    await signOut(browser)
    expect(await told(party)).toEqual([])
  })

  test('a sign-out that could not be written down has not happened', async () => {
    const [party, browser, member] = [await givenParty(), openBrowser(), await givenMember(server)]
    await signIn(party, browser, member)
    const account = await browser.open(`${server.issuer}/account`)
    const page = await browser.submit(account, '/account/sign-out')
    const agree = () => browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    await server.db.$executeRaw`ALTER TABLE "ClientSession" RENAME TO "Away"`
    expect((await agree()).status).toBe(500)
    await server.db.$executeRaw`ALTER TABLE "Away" RENAME TO "ClientSession"`
    expect((await browser.open(`${server.issuer}/account`)).url.pathname).toBe('/account')
    expect((await agree()).status).toBe(200)
    expect(await told(party)).toHaveLength(1)
  })
})

describe('who is told when sessions end otherwise', () => {
  /** Signed in at one relying party in two browsers. */
  async function givenTwoSessions() {
    const [party, member] = [await givenParty(), await givenMember(server)]
    const [browser, other] = [openBrowser(), openBrowser()]
    const sids = [sidOf(await signIn(party, browser, member)), sidOf(await signIn(party, other, member))]
    return { party, member, browser, sids: sids.sort() }
  }
  const act = <T>(work: (tx: Parameters<typeof suspendMember>[0]) => Promise<T>) =>
    inTransaction(server.db, work)

  const causes: [string, (member: GivenMember, browser: Browser) => Promise<unknown>][] = [
    [
      'signs out everywhere',
      async (_, browser) =>
        browser.submit(await browser.open(`${server.issuer}/account/security`), '/sign-out-everywhere'),
    ],
    [
      'changes the password',
      async ({ password }, browser) =>
        browser.submit(await browser.open(`${server.issuer}/account/security`), '/account/password', {
          currentPassword: password,
          newPassword: 'amber lighthouse cello 9',
        }),
    ],
    ['is suspended', ({ id }) => act((tx) => suspendMember(tx, id, undefined, server.now()))],
    [
      'has signed in through a connection that is disabled',
      async ({ id: memberId }) => {
        const { id: connectionId } = await givenConnection(server)
        const { id } = await givenIdentity(server, { memberId, connectionId })
        await server.db.federatedIdentity.update({ where: { id }, data: { lastUsedAt: server.now() } })
        await disableConnectionAndSessions(server.db, connectionId, server.now())
      },
    ],
  ]
  test.each(causes)('a member who %s: all their relying parties, of each session once', async (_, cause) => {
    const [{ party, member, browser, sids }, bystander] = [await givenTwoSessions(), await givenTwoSessions()]
    await cause(member, browser)
    expect((await told(party)).map(({ claims }) => claims.sid).sort()).toEqual(sids)
    expect(await told(bystander.party)).toEqual([])
    expect(await server.db.clientSession.count({ where: { memberId: member.id } })).toBe(0)
    const audited = await server.db.auditEntry.count({
      where: { memberId: member.id, type: 'session.logged_out' },
    })
    expect(audited).toBe(2)
  })

  test('a member who takes back what they allowed a relying party: that one', async () => {
    const [{ party, member, browser, sids }, other] = [await givenTwoSessions(), await givenParty()]
    await signIn(other, browser, member)
    const page = await browser.open(`${server.issuer}/account/services/${party.id}/stop`)
    await browser.submit(page, `/account/services/${party.id}/stop`)
    expect((await told(party)).map(({ claims }) => claims.sid).sort()).toEqual(sids)
    expect(await told(other)).toEqual([])
  })

  test('a relying party that was allowed anew since is not told of what was taken back before', async () => {
    const { party, member, sids } = await givenTwoSessions()
    const end = (secondsAgo: number) => {
      const revokedAt = new Date(server.now().getTime() - secondsAgo * 1000)
      const which = { memberId: member.id, clientId: party.id, revokedAt }
      return act((tx) => endSessionsAt(tx, which, server.now()))
    }
    await end(60)
    expect(await told(party)).toEqual([])
    await end(0)
    expect((await told(party)).map(({ claims }) => claims.sid).sort()).toEqual(sids)
  })

  test('a device does not end with the browser that connected it, but with everything', async () => {
    const [party, device] = [await givenParty(), await givenParty({}, { profile: 'device' })]
    const [browser, member] = [openBrowser(), await givenMember(server)]
    await signIn(party, browser, member)
    const { json } = await post(server, '/device-authorization', { scope: 'openid' }, { client: device })
    const page = await browser.open(String(json.verification_uri_complete))
    const connected = await browser.submit(await browser.submit(page, '/device'), '/consent')
    expect(connected.status).toBe(200)
    await signOut(browser)
    expect([(await told(party)).length, (await told(device)).length]).toEqual([1, 0])
    await act((tx) => suspendMember(tx, member.id, undefined, server.now()))
    expect(await told(device)).toHaveLength(1)
  })

  test('a session that begins after the others have ended is none of them', async () => {
    const { party, member, browser } = await givenTwoSessions()
    await browser.submit(await browser.open(`${server.issuer}/account/security`), '/sign-out-everywhere')
    const fresh = sidOf(await signIn(party, openBrowser(), member))
    const requests = await told(party)
    expect(requests).toHaveLength(2)
    expect(requests.map(({ claims }) => claims.sid)).not.toContain(fresh)
    expect(await server.db.clientSession.count({ where: { memberId: member.id } })).toBe(1)
  })

  test('sessions that nobody ended in all their time are forgotten', async () => {
    const { member } = await givenTwoSessions()
    const other = await givenTwoSessions()
    const past = new Date(server.now().getTime() - 1)
    await server.db.clientSession.updateMany({ where: { memberId: member.id }, data: { expiresAt: past } })
    await act((tx) => suspendMember(tx, other.member.id, undefined, server.now()))
    await server.app.dispatcher.drain()
    expect(await server.db.clientSession.count({ where: { memberId: member.id } })).toBe(0)
  })
})

describe('section 2.8: a relying party that does not take it', () => {
  async function givenSignedOut(status: number, body = '', headers: Record<string, string> = {}) {
    const [party, browser, member] = [await givenParty(), openBrowser(), await givenMember(server)]
    receiver.answer(party.id, status, body, headers)
    await signIn(party, browser, member)
    await signOut(browser)
    return { party, member, requests: await told(party) }
  }
  const waiting = (memberId: string) =>
    server.db.delivery.findMany({ where: { sink: 'backchannel_logout', event: { memberId } } })

  test.each([
    ['is down', 0, ''],
    ['has a fault', 500, ''],
    ['sends us elsewhere', 302, ''],
    ['could not end the session', 400, '{"error":"server_error"}'],
    ['answers as to anybody', 404, '{"error":"invalid_request"}'],
  ])('one that %s is told again until it does, in a token of the same jti', async (_, status, body) => {
    const location = receiver.uri('elsewhere')
    const { party, member, requests } = await givenSignedOut(status, body, { location })
    expect(await waiting(member.id)).toHaveLength(1)
    receiver.answer(party.id, 200)
    server.advance(600)
    const again = await told(party)
    expect(again.length).toBeGreaterThan(requests.length)
    const { jti, sid } = requests[0]?.claims ?? {}
    for (const { claims } of again) expect(claims).toMatchObject({ jti, sid, sub: member.id })
    expect(receiver.at('elsewhere')).toEqual([])
    expect(await waiting(member.id)).toEqual([])
  })

  test('one that is down keeps no other waiting, of the same member', async () => {
    const [down, up, browser] = [await givenParty(), await givenParty(), openBrowser()]
    const member = await givenMember(server)
    receiver.answer(down.id, 503)
    await signIn(down, browser, member)
    await signOut(browser)
    await told(down)
    await signIn(up, browser, member)
    await signOut(browser)
    expect(await told(up)).toHaveLength(1)
  })

  test('one that refuses the token as such is not asked again, and the log says so', async () => {
    const { party, member } = await givenSignedOut(400, '{"error":"invalid_request"}')
    expect(await waiting(member.id)).toEqual([])
    expect(server.logged()).toMatch(new RegExp(`"clientId":"${party.id}".*refused a logout token`))
  })

  test('one that answers without content has taken it', async () => {
    const { member } = await givenSignedOut(204)
    expect(await waiting(member.id)).toEqual([])
  })

  test('one on an address inside is never called, and the rest goes on', async () => {
    const [outside, browser, member] = [await givenParty(), openBrowser(), await givenMember(server)]
    const inside = await givenParty({ backchannel_logout_uri: 'https://169.254.169.254/latest' })
    for (const party of [inside, outside]) await signIn(party, browser, member)
    await signOut(browser)
    expect(await told(outside)).toHaveLength(1)
    const [delivery] = await waiting(member.id)
    expect(delivery?.lastError).toMatch(/special-use address/)
  })

  test('one that never takes it is let go after a day, which is logged as an error', async () => {
    const { party, member } = await givenSignedOut(500)
    for (let tries = 0; tries < 12; tries += 1) {
      server.advance(28_801)
      await told(party)
    }
    expect(await waiting(member.id)).toMatchObject([{ parkedAt: expect.any(Date) }])
    expect(receiver.at(party.id)).toHaveLength(12)
    expect(server.logged()).toMatch(/"sink":"backchannel_logout".*event parked/)
  })
})

test('of several processes one tells it', async () => {
  const [party, member, peer] = [await givenParty(), await givenMember(server), await server.startPeer()]
  for (let browsers = 0; browsers < 3; browsers += 1) await signIn(party, openBrowser(), member)
  await inTransaction(server.db, (tx) => suspendMember(tx, member.id, undefined, server.now()))
  await Promise.all([server.app.dispatcher.drain(), peer.app.dispatcher.drain()])
  await Promise.all([server.app.dispatcher.drain(), peer.app.dispatcher.drain()])
  expect(new Set(receiver.at(party.id).map(({ claims }) => claims.jti)).size).toBe(3)
  expect(receiver.at(party.id)).toHaveLength(3)
  await peer.close()
})
