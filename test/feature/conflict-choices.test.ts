import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { lockMember } from '../../src/members/member.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let linkOnly: UpstreamProvider
let second: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  second = await givenUpstream(server, { id: 'second' })
  linkOnly = await givenUpstream(server, { id: 'link-only' })
  await server.db.connection.update({ where: { id: 'link-only' }, data: { allowSignIn: false } })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), second.close(), linkOnly.close()])
})

let count = 0
let owner: GivenMember
let claimant: GivenMember
let browser: Browser
beforeEach(async () => {
  count += 1
  for (const one of [upstream, second, linkOnly]) one.behavior.subject = `shopper-${count}`
  owner = await givenMember(server, { name: 'Hanako Owner' })
  claimant = await givenMember(server, { name: 'Hanako Claimant' })
  browser = await signInTo(server, claimant)
})

/** What a person reads; an address has places in it at which it may be broken. */
const textOf = ({ html }: Page) => html.replace(/<[^>]+>/g, '')

const nothing = { rows: {}, events: [] }

/** The page of the conflict about an account that the owner has linked. */
async function openConflictPage(connectionId = 'upstream'): Promise<Page> {
  const { behavior } = connectionId === 'upstream' ? upstream : linkOnly
  await givenIdentity(server, { memberId: owner.id, connectionId, subject: behavior.subject })
  return pressLink(server, browser, connectionId)
}

const follow = (page: Page, path: string) => browser.open(page.url.href + path)
const holderOf = async (connectionId = 'upstream') =>
  (await server.db.federatedIdentity.findFirst({ where: { connectionId, subject: `shopper-${count}` } }))
    ?.memberId

describe('keeping', () => {
  test('changes nothing but that it is recorded', async () => {
    const page = await openConflictPage()
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/keep'))
    expect(`${result.url.pathname}${result.url.search}`).toBe(
      '/account?notice=conflict_kept&connection=upstream',
    )
    expect(result.html).toContain('Nothing was changed.')
    expect(changes.rows).toEqual({ LinkConflict: '~1' })
    const data = { connectionId: 'upstream', conflictId: expect.any(String), outcome: 'kept', by: 'member' }
    expect(changes.events).toEqual(
      [claimant, owner].map(({ id }) => ({ type: 'link.conflict_decided', memberId: id, data })),
    )
  })

  test('twice, by a double click or the back button, leads to the same place and is recorded once', async () => {
    const page = await openConflictPage()
    const changes = await changesOf(server, () =>
      Promise.all([1, 2, 3].map(() => browser.submit(page, '/keep'))),
    )
    expect(typesOf(changes)).toEqual(['link.conflict_decided', 'link.conflict_decided'])
    const again = await changesOf(server, () => browser.submit(page, '/keep'))
    expect(again.result.url.pathname).toBe('/account')
    expect(again).toMatchObject(nothing)
    const move = await changesOf(server, () => follow(page, '/move'))
    expect(move.result.url.pathname).toBe('/account')
    expect(move).toMatchObject(nothing)
  })

  test('does not end the next claim: there is a conflict again, and the old one stays on record', async () => {
    await browser.submit(await openConflictPage(), '/keep')
    const { rows } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(rows).toEqual({ LinkConflict: '+1' })
  })
})

describe('moving', () => {
  test('gives the account to the claimant, with their agreement, and ends that of the owner', async () => {
    const page = await openConflictPage()
    const before = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: owner.id } })
    const preview = await follow(page, '/move')
    expect(textOf(preview)).toContain(owner.email)
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(result.html).toContain('is now linked to this member ID.')
    expect(changes.rows).toEqual({
      FederatedIdentity: '~1',
      LinkConsent: '+1 ~1',
      UpstreamToken: '~1',
      LinkConflict: '~1',
    })
    const ids = { connectionId: 'upstream', conflictId: expect.any(String) }
    const decided = { ...ids, outcome: 'moved', by: 'member' }
    const moved = { ...ids, identityId: before.id }
    expect(changes.events).toEqual([
      {
        type: 'identity.moved',
        memberId: claimant.id,
        data: { ...moved, way: 'account_page', fromMemberId: owner.id },
      },
      { type: 'identity.moved_away', memberId: owner.id, data: { ...moved, toMemberId: claimant.id } },
      { type: 'link.conflict_decided', memberId: claimant.id, data: decided },
      { type: 'link.conflict_decided', memberId: owner.id, data: decided },
    ])
    const after = await server.db.federatedIdentity.findUniqueOrThrow({ where: { id: before.id } })
    expect(after).toMatchObject({ memberId: claimant.id, subject: before.subject, lastUsedAt: null })
    const consents = await server.db.linkConsent.findMany({ where: { subject: before.subject } })
    expect(consents.map(({ memberId, endedAt }) => [memberId, endedAt !== null]).sort()).toEqual(
      [
        [claimant.id, false],
        [owner.id, true],
      ].sort(),
    )
    await mailTo(server, owner.email, /now linked to another one/)
    await mailTo(server, claimant.email, /It is now linked to yours/)
  })

  test('lets the account sign in as the claimant from then on', async () => {
    await browser.submit(await follow(await openConflictPage(), '/move'), '/move')
    const someone = visitor()
    const form = await someone.open(`${server.issuer}/account`)
    expect(textOf(await someone.submit(form, '/connections/upstream'))).toContain(claimant.email)
  })

  test('keeps the tokens of the new proof alone', async () => {
    const page = await openConflictPage()
    const { id } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: owner.id } })
    const { sealed } = await server.db.upstreamToken.findUniqueOrThrow({ where: { id } })
    await browser.submit(await follow(page, '/move'), '/move')
    const after = await server.db.upstreamToken.findUniqueOrThrow({ where: { id } })
    expect(after.sealed).not.toBe(sealed)
    expect(after.discardedAt).toBeNull()
    expect(upstream.requests).not.toContain('/token/revocation')
  })

  test('is not offered when the owner could not sign in any more, and says so', async () => {
    await server.db.passwordCredential.delete({ where: { memberId: owner.id } })
    const page = await openConflictPage()
    expect(page.html).toContain('has no other way to sign in')
    expect(page.html).not.toContain('/move"')
    const { result, ...changes } = await changesOf(server, () => follow(page, '/move'))
    expect(result.url.pathname).toBe(page.url.pathname)
    expect(changes).toEqual(nothing)
  })

  test('is not offered to who has another account of the connection', async () => {
    await givenIdentity(server, { memberId: claimant.id, connectionId: 'upstream', subject: `own-${count}` })
    await givenIdentity(server, {
      memberId: owner.id,
      connectionId: 'upstream',
      subject: upstream.behavior.subject,
    })
    const account = await browser.open(`${server.issuer}/account`)
    const page = await beginAnyway(account)
    expect(page.html).toContain('has another')
    expect(page.html).not.toContain('/move"')
  })

  test('shows again what has changed since it was shown', async () => {
    const preview = await follow(await openConflictPage(), '/move')
    await server.db.member.update({ where: { id: owner.id }, data: { nickname: 'Hana' } })
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(result.status).toBe(200)
    expect(result.html).toContain('Agree and move')
    expect(changes).toEqual(nothing)
    await browser.submit(result, '/move')
    expect(await holderOf()).toBe(claimant.id)
  })

  test('asks for a new proof when the sign-in has grown old', async () => {
    const page = await openConflictPage()
    server.advance(601)
    const { result, ...changes } = await changesOf(server, () => follow(page, '/move'))
    // By then the account's own proof is as old: nothing is offered on the strength of it.
    expect(result.url.pathname).toBe(page.url.pathname)
    expect(result.html).toContain('It has been a while since you confirmed')
    expect(changes).toEqual(nothing)
  })
})

/** Sends the form of the account page for a connection that is linked already. */
async function beginAnyway(account: Page): Promise<Page> {
  const html = account.html.replace('/connections/second/link"', '/connections/upstream/link"')
  return browser.submit({ ...account, html }, '/connections/upstream/link')
}

describe('what happens while the page is open', () => {
  test.each([
    ['unlinks the account', () => server.db.federatedIdentity.deleteMany({ where: { memberId: owner.id } })],
    ['is suspended', () => suspend('suspended')],
    ['is deleted', () => suspend('deleted')],
    [
      'loses the other way to sign in',
      () => server.db.passwordCredential.delete({ where: { memberId: owner.id } }),
    ],
  ])('to an owner who %s leaves the account unmoved', async (_, act) => {
    const preview = await follow(await openConflictPage(), '/move')
    await act()
    const { result, rows } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(rows).toEqual({})
    expect(result.status).toBeLessThan(500)
  })

  test('by an unlink of the only other way in is waited for, and nobody is left without one', async () => {
    await givenIdentity(server, { memberId: owner.id, connectionId: 'second' })
    const preview = await follow(await openConflictPage(), '/move')
    await server.db.passwordCredential.delete({ where: { memberId: owner.id } })
    const shown = await follow(preview, '')
    const { sent } = await inTransaction(server.db, async (tx) => {
      await lockMember(tx, owner.id)
      await tx.federatedIdentity.deleteMany({ where: { memberId: owner.id, connectionId: 'second' } })
      const sent = browser.submit(shown, '/move')
      await vi.waitFor(async () => expect(await waiting()).toBeGreaterThan(0))
      return { sent }
    })
    expect((await sent).html).toContain('has no other way to sign in')
    expect(await holderOf()).toBe(owner.id)
  })

  test('to the claimant who is suspended leaves the account unmoved', async () => {
    const preview = await follow(await openConflictPage(), '/move')
    await server.db.member.update({ where: { id: claimant.id }, data: { status: 'suspended' } })
    const { rows } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(rows).toEqual({})
  })
})

/** How many wait for somebody else's lock. */
async function waiting(): Promise<number> {
  const [found] = await server.db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS "count" FROM pg_stat_activity
    WHERE "wait_event_type" = 'Lock' AND "datname" = current_database()`
  return found?.count ?? 0
}

function suspend(status: 'suspended' | 'deleted') {
  return server.db.member.update({ where: { id: owner.id }, data: { status } })
}

describe('an account that only links', () => {
  test('tells its holder nothing of the owner, and moves only when the owner signs in as well', async () => {
    const page = await openConflictPage('link-only')
    expect(page.html).toContain('cannot be used to sign in')
    for (const secret of [owner.email, owner.name, owner.id]) expect(textOf(page)).not.toContain(secret)
    const form = await follow(page, '/owner')
    for (const secret of [owner.email, owner.name, owner.id]) expect(textOf(form)).not.toContain(secret)
    const proved = await changesOf(server, () =>
      browser.submit(form, '/owner', { email: owner.email, password: owner.password }),
    )
    const data = { connectionId: 'link-only', conflictId: expect.any(String), through: 'password' }
    expect(proved.events).toEqual([{ type: 'link.owner_proved', memberId: owner.id, data }])
    expect(proved.rows).toEqual({})
    expect(textOf(proved.result)).toContain(owner.email)
    await browser.submit(await follow(page, '/move'), '/move')
    expect(await holderOf('link-only')).toBe(claimant.id)
    // The claimant's session is the one there was.
    expect(textOf(await browser.open(`${server.issuer}/account`))).toContain(claimant.email)
  })

  test('moves when the owner is proved at another connection, which asks anew who it is', async () => {
    await givenIdentity(server, {
      memberId: owner.id,
      connectionId: 'second',
      subject: second.behavior.subject,
    })
    const page = await openConflictPage('link-only')
    const proved = await changesOf(server, async () =>
      browser.submit(await follow(page, '/owner'), '/owner/connections/second'),
    )
    expect(proved.rows).toEqual({})
    expect(typesOf(proved)).toEqual(['link.owner_proved'])
    await browser.submit(await follow(page, '/move'), '/move')
    expect(await holderOf('link-only')).toBe(claimant.id)
  })

  test.each([
    ['of nobody', async () => undefined],
    [
      'of the claimant',
      () =>
        givenIdentity(server, {
          memberId: claimant.id,
          connectionId: 'second',
          subject: second.behavior.subject,
        }),
    ],
  ])('does not move on the word of another connection for an account %s', async (_, given) => {
    await given()
    const page = await openConflictPage('link-only')
    const { result, ...changes } = await changesOf(server, async () =>
      browser.submit(await follow(page, '/owner'), '/owner/connections/second'),
    )
    expect(result.html).toContain('is not the one that has this account')
    expect(changes).toEqual(nothing)
    expect((await follow(page, '/move')).url.pathname).toBe(page.url.pathname)
  })

  test('goes on when the other upstream is left without signing in', async () => {
    const page = await openConflictPage('link-only')
    second.behavior.decline = true
    const { result, ...changes } = await changesOf(server, async () =>
      browser.submit(await follow(page, '/owner'), '/owner/connections/second'),
    )
    second.behavior.decline = false
    expect(result.html).toContain('was canceled')
    expect(changes).toEqual(nothing)
    await browser.submit(result, '/owner', { email: owner.email, password: owner.password })
    expect((await follow(page, '/move')).html).toContain('Agree and move')
  })

  test('is not moved on a sign-in whose sessions were ended since', async () => {
    const page = await openConflictPage('link-only')
    await browser.submit(await follow(page, '/owner'), '/owner', {
      email: owner.email,
      password: owner.password,
    })
    const preview = await follow(page, '/move')
    await server.db.member.update({
      where: { id: owner.id },
      data: { sessionsValidFrom: new Date(server.now().getTime() + 5000) },
    })
    const { result, rows } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(rows).toEqual({})
    expect(textOf(result)).not.toContain(owner.email)
  })
})

describe('asking an operator', () => {
  test('puts the conflict into the queue once, and moves nothing', async () => {
    const page = await openConflictPage('link-only')
    const raised = await changesOf(server, () => browser.submit(page, '/raise'))
    expect(raised.rows).toEqual({ LinkConflict: '~1' })
    const data = { connectionId: 'link-only', conflictId: expect.any(String) }
    expect(raised.events).toEqual([{ type: 'link.conflict_raised', memberId: claimant.id, data }])
    const { id } = await server.db.linkConflict.findFirstOrThrow({ where: { claimantId: claimant.id } })
    expect(raised.result.html).toContain(id)
    expect(await changesOf(server, () => browser.submit(page, '/raise'))).toMatchObject(nothing)
  })

  test('is not undone by leaving the page', async () => {
    const page = await openConflictPage('link-only')
    const after = await browser.submit(page, '/raise')
    expect(await changesOf(server, () => browser.submit(after, '/keep'))).toMatchObject(nothing)
    expect(await server.db.linkConflict.count({ where: { claimantId: claimant.id, open: true } })).toBe(1)
  })
})

test('a connection that is disabled meanwhile moves nothing', async () => {
  const preview = await follow(await openConflictPage(), '/move')
  await server.db.connection.update({ where: { id: 'upstream' }, data: { disabledAt: server.now() } })
  const { result, rows } = await changesOf(server, () => browser.submit(preview, '/move'))
  await server.db.connection.update({ where: { id: 'upstream' }, data: { disabledAt: null } })
  expect(result.status).toBe(404)
  expect(rows).toEqual({})
})
