import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { markNeedsRelink } from '../../src/linking/unlink/needs-relink.ts'
import { inTransaction } from '../../src/store/db.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, linkThrough, pressLink, signInTo, visitor } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream', name: { ja: '通販', en: 'Web Shop' } })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `relinking-${++count}`
})

/** A member whose upstream has withdrawn. */
async function givenWithdrawn() {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'upstream')
  const { id } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  await mark(id)
  return { member, browser, identityId: id }
}

const mark = (id: string) =>
  inTransaction(server.db, (tx) => markNeedsRelink(tx, id, 'consent_revoked', server.now()))

const consentOf = (memberId: string) => server.db.linkConsent.findFirstOrThrow({ where: { memberId } })

test('a withdrawal is noted once, and the member told once', async () => {
  const { member, identityId } = await givenWithdrawn()
  const { result, ...changes } = await changesOf(server, () => mark(identityId))
  expect(result).toBe(false)
  expect(changes).toEqual({ rows: {}, events: [] })
  await mailTo(server, member.email, /has to be linked again/)
  const mails = server.inbox.messages().filter(({ to }) => to.includes(member.email))
  expect(mails.filter(({ text }) => text.includes('has to be linked again'))).toHaveLength(1)
})

test('a link that is no more is not withdrawn', async () => {
  const { result, ...changes } = await changesOf(server, () => mark('00000000-0000-4000-8000-000000000000'))
  expect(result).toBe(false)
  expect(changes).toEqual({ rows: {}, events: [] })
})

describe('a link whose upstream has withdrawn', () => {
  test.each([
    [
      'an account whose upstream has withdrawn',
      async (id: string) => {
        await mark(id)
      },
    ],
    [
      'an account of a connection that is disabled',
      async (_: string, connectionId: string) => {
        await server.db.connection.update({ where: { id: connectionId }, data: { disabledAt: new Date() } })
      },
    ],
  ])('is not unlinked where all that were left is %s', async (_, withdraw) => {
    const member = await givenMember(server)
    const { id: connectionId } = await givenConnection(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    const other = await givenIdentity(server, { memberId: member.id, connectionId })
    const browser = await signInTo(server, member)
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    await withdraw(other.id, connectionId)
    const { result, ...changes } = await changesOf(server, () => browser.submit(form, '/unlink'))
    expect(result.status).toBe(409)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('is not unlinked where the only password is for no address', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    const browser = await signInTo(server, member)
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await server.db.contactPoint.deleteMany({ where: { memberId: member.id } })
    expect((await browser.submit(form, '/unlink')).status).toBe(409)
  })

  test('says so on the account page and is mended by its button, without a new agreement', async () => {
    const { member, browser, identityId } = await givenWithdrawn()
    const page = await browser.open(`${server.issuer}/account`)
    expect(page.html).toContain('Needs linking again')
    expect(page.html).toContain('The link was withdrawn at Web Shop.')
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(result.html).toContain('Web Shop is now linked.')
    expect(result.html).not.toContain('Needs linking again')
    expect(changes.rows).toEqual({ FederatedIdentity: '~1', UpstreamToken: '~1' })
    const { id: consentId } = await consentOf(member.id)
    const data = { connectionId: 'upstream', way: 'account_page', identityId, consentId }
    expect(changes.events).toEqual([{ type: 'identity.relinked', memberId: member.id, data }])
  })

  test('is not mended by the account of somebody else at the upstream', async () => {
    const { browser, identityId } = await givenWithdrawn()
    upstream.behavior.subject = `somebody-else-${count}`
    const page = await pressLink(server, browser, 'upstream')
    expect(page.status).toBe(409)
    const linked = await server.db.federatedIdentity.findUniqueOrThrow({ where: { id: identityId } })
    expect(linked.needsRelinkReason).toBe('consent_revoked')
  })

  test('is mended by signing in through it: the upstream has given its word anew', async () => {
    const { member, identityId } = await givenWithdrawn()
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(form, '/connections/upstream'),
    )
    expect(result.html).toContain('Hello, Hanako Suzuki')
    expect(result.html).not.toContain('Needs linking again')
    const { id: consentId } = await consentOf(member.id)
    expect(changes.events.find(({ type }) => type === 'identity.relinked')?.data).toEqual({
      ...{ connectionId: 'upstream', way: 'sign_in', clientId: expect.any(String), identityId, consentId },
    })
  })
})
