import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { findNotice } from '../../src/linking/notices/notice.ts'
import { securityEventHandler } from '../../src/linking/security-events/handle.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import { type Answer, send } from '../support/post.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenLine, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

const type = (family: 'risc' | 'oauth' | 'caep', name: string) =>
  `https://schemas.openid.net/secevent/${family}/event-type/${name}`

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'store', name: { ja: '通販', en: 'Web Shop' } })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))

let count = 0
let subject: string
beforeEach(() => {
  subject = `told-of-${++count}`
})

interface Told {
  jti?: string
  iat?: number
  format?: 'risc' | 'rfc9493'
  issuer?: string
}

/** A token about the present account; from a moment after whatever was done before. */
function mint(event: string, { jti = randomUUID(), iat = later(), format = 'risc', issuer }: Told = {}) {
  const iss = issuer ?? upstream.issuer
  const about =
    format === 'risc'
      ? { events: { [event]: { subject: { subject_type: 'iss-sub', iss, sub: subject } } } }
      : { sub_id: { format: 'iss_sub', iss, sub: subject }, events: { [event]: {} } }
  const claims = { iss, aud: 'hitotsu', jti, iat, exp: undefined, sub: undefined, ...about }
  return upstream.mintIdToken(claims, { typ: 'secevent+jwt' })
}
const later = () => Math.floor(server.now().getTime() / 1000) + 2

const push = (token: string, contentType = 'application/secevent+jwt', id = 'store'): Promise<Answer> =>
  send(`${server.issuer}/connections/${id}/events`, {
    method: 'POST',
    headers: { 'content-type': contentType, accept: 'application/json' },
    body: token,
  })

async function tell(event: string, told: Told = {}) {
  const token = await mint(event, told)
  const { result, ...changes } = await changesOf(server, () => push(token))
  expect([result.status, result.text]).toEqual([202, ''])
  return { ...changes, types: changes.events.map((recorded) => recorded.type) }
}

async function givenLinked(): Promise<{ member: GivenMember; identityId: string }> {
  const member = await givenMember(server)
  const { id } = await givenIdentity(server, { memberId: member.id, connectionId: 'store', subject })
  // Has signed in through it some time ago.
  const lastUsedAt = new Date(server.now().getTime() - 1000)
  await server.db.federatedIdentity.update({ where: { id }, data: { lastUsedAt } })
  return { member, identityId: id }
}

const linkOf = (id: string) => server.db.federatedIdentity.findUnique({ where: { id } })
const received = ['upstream.notified', 'upstream.event_handled']

describe('section 2.4: a delivery is refused', () => {
  test.each([
    ['as a form', 'application/x-www-form-urlencoded', 415],
    ['as text', 'text/plain', 415],
    ['as another kind of upstream does it', 'application/json', 400],
  ])('%s', async (_, contentType, status) => {
    await givenLinked()
    const token = await mint(type('risc', 'account-purged'))
    const body = contentType.endsWith('json') ? JSON.stringify({ payload: token }) : token
    const { result, ...changes } = await changesOf(server, () => push(body, contentType))
    expect(result.status).toBe(status)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('for a connection there is not, with what was for another', async () => {
    const token = await mint(type('risc', 'account-purged'))
    expect((await push(token, undefined, 'nowhere')).status).toBe(404)
    const line = await givenLine(server)
    onTestFinished(() => line.close())
    expect((await push(token, undefined, 'line')).status).toBe(400)
  })

  test('when it is larger than any token', async () => {
    expect((await push('x'.repeat(70_000))).status).toBe(413)
  })

  test('in JSON, in words', async () => {
    const { status, headers, json } = await push('no token')
    expect([status, headers['content-language']]).toEqual([400, 'en'])
    expect(headers['content-type']).toContain('application/json')
    expect(json).toEqual({ err: 'invalid_request', description: expect.stringContaining('security event') })
  })
})

test('section 2.2: what is acknowledged is kept before, and handled after a process has died in between', async () => {
  const { identityId } = await givenLinked()
  const peer = await server.startPeer()
  // The process that takes it hands nothing on.
  await server.app.dispatcher.stop()
  await peer.app.dispatcher.stop()
  const answer = await push(await mint(type('risc', 'account-disabled')))
  expect(answer.status).toBe(202)
  expect((await linkOf(identityId))?.needsRelinkSince).toBeNull()
  await peer.close()
  await server.restartAs({})
  await server.app.dispatcher.drain()
  expect((await linkOf(identityId))?.needsRelinkReason).toBe('account_disabled')
})

describe('a token that comes again', () => {
  test('is acknowledged alike, and nothing is done twice, at however many processes', async () => {
    const { member, identityId } = await givenLinked()
    const token = await mint(type('risc', 'account-disabled'))
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all(Array.from({ length: 8 }, () => push(token))),
    )
    expect(result.map(({ status }) => status)).toEqual(Array(8).fill(202))
    expect(changes.events.map(({ type: recorded }) => recorded).sort()).toEqual(
      [...received, 'identity.relink_required', 'sessions.ended'].sort(),
    )
    await signInThroughStore()
    expect((await linkOf(identityId))?.needsRelinkSince).toBeNull()
    const again = await changesOf(server, () => push(token))
    expect(again.result.status).toBe(202)
    expect(again.events).toEqual([])
    expect(member.id).toBeDefined()
  })

  test('to two processes at once is handled by one of them', async () => {
    const { identityId } = await givenLinked()
    await tell(type('risc', 'sessions-revoked'))
    const { id } = await server.db.upstreamNotice.findFirstOrThrow({ orderBy: { receivedAt: 'desc' } })
    const notice = await findNotice(server.db, server.sealer, id)
    if (!notice) throw new Error('the notice was not kept')
    const policy = { sealer: server.sealer, coolOffDays: 7 }
    // As one that had read it before the other was done.
    const handle = securityEventHandler({ db: server.db, policy, now: server.now })
    const { rows, events } = await changesOf(server, () => handle(notice))
    expect([rows, events]).toEqual([{}, []])
    expect(await linkOf(identityId)).not.toBeNull()
  })

  test('late, under another jti, says nothing against a newer word of the upstream', async () => {
    const { identityId } = await givenLinked()
    await server.db.federatedIdentity.update({
      where: { id: identityId },
      data: { lastUsedAt: server.now() },
    })
    const iat = Math.floor(server.now().getTime() / 1000) - 60
    const { rows, types } = await tell(type('risc', 'account-purged'), { iat })
    expect([rows, types]).toEqual([{}, received])
  })
})

/** The holder comes back from the upstream, which is its newest word. */
async function signInThroughStore() {
  server.advance(5)
  upstream.behavior.subject = subject
  const browser = visitor()
  const form = await browser.open(`${server.issuer}/account`)
  return browser.submit(form, '/connections/store')
}

describe('RISC 1.0 section 2: what an event does', () => {
  test.each(['risc', 'rfc9493'] as const)(
    'account-disabled (%s): the link needs relinking, sessions end',
    async (format) => {
      const { member, identityId } = await givenLinked()
      const browser = await signInTo(server, member)
      const { events, types } = await tell(type('risc', 'account-disabled'), { format })
      expect(types.sort()).toEqual([...received, 'identity.relink_required', 'sessions.ended'].sort())
      expect(events.find((event) => event.type === 'upstream.event_handled')).toMatchObject({
        memberId: member.id,
        data: {
          ...{ connectionId: 'store', event: 'account-disabled', identityId },
          reactions: ['needs_relink', 'end_sessions'],
        },
      })
      server.advance(3)
      expect((await browser.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
    },
  )

  test('account-enabled: lifts that, and nothing else', async () => {
    const { identityId } = await givenLinked()
    await tell(type('risc', 'account-disabled'))
    expect((await tell(type('risc', 'account-enabled'))).types).toContain('identity.relinked')
    expect((await linkOf(identityId))?.needsRelinkSince).toBeNull()
    await tell(type('oauth', 'tokens-revoked'))
    expect((await tell(type('risc', 'account-enabled'))).types).toEqual(received)
    expect((await linkOf(identityId))?.needsRelinkReason).toBe('tokens_revoked')
  })

  test('account-purged: the link ends', async () => {
    const { identityId } = await givenLinked()
    const { types } = await tell(type('risc', 'account-purged'))
    expect(types).toContain('identity.unlinked')
    expect(await linkOf(identityId)).toBeNull()
    const former = await server.db.formerIdentity.findFirstOrThrow({ where: { identityId } })
    expect(former.reason).toBe('account_purged')
  })

  test('account-purged: not where it is the last way to sign in; that is told instead', async () => {
    const { member, identityId } = await givenLinked()
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    const { types } = await tell(type('risc', 'account-purged'))
    expect(types).not.toContain('identity.unlinked')
    expect((await linkOf(identityId))?.needsRelinkReason).toBe('account_purged')
  })

  test('identifier-recycled: the link ends whatever is left, and the account brings its new holder to nobody', async () => {
    const { member, identityId } = await givenLinked()
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    await tell(type('risc', 'identifier-recycled'))
    expect(await linkOf(identityId)).toBeNull()
    const page = await signInThroughStore()
    expect(page.url.pathname).toMatch(/\/sign-up$/)
  })

  test('sessions-revoked: sessions end, the link stays as it is', async () => {
    await givenLinked()
    const { types } = await tell(type('risc', 'sessions-revoked'))
    expect(types.sort()).toEqual([...received, 'sessions.ended'].sort())
  })

  test('sessions-revoked: not those of a member who has never signed in through it', async () => {
    const { identityId } = await givenLinked()
    await server.db.federatedIdentity.update({ where: { id: identityId }, data: { lastUsedAt: null } })
    expect((await tell(type('caep', 'session-revoked'))).types).toEqual(received)
  })

  test('tokens-revoked: the link needs relinking', async () => {
    const { identityId } = await givenLinked()
    expect((await tell(type('oauth', 'tokens-revoked'))).types).toContain('identity.relink_required')
    expect((await linkOf(identityId))?.needsRelinkReason).toBe('tokens_revoked')
  })

  test.each([
    type('risc', 'account-credential-change-required'),
    type('risc', 'verification'),
    'https://example.com/an-event-of-our-own',
    'constructor',
  ])('%s: is written down', async (event) => {
    await givenLinked()
    const { rows, types } = await tell(event)
    expect([rows, types]).toEqual([{}, received])
  })

  test('the account of nobody here: is written down', async () => {
    expect((await tell(type('risc', 'account-purged'))).types).toEqual(received)
  })

  test('Google writes its issuer with a slash at the end in these alone', async () => {
    const { identityId } = await givenLinked()
    await tell(type('risc', 'account-disabled'), { issuer: `${upstream.issuer}/` })
    expect((await linkOf(identityId))?.needsRelinkReason).toBe('account_disabled')
  })
})
