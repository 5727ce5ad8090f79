import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { loginChannelId } from '../support/line-simulator.ts'
import { changesOf, linkThrough, signInTo } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenLine, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  upstream = await givenUpstream(server, { id: 'upstream', name: { ja: '通販', en: 'Web Shop' } })
})
afterAll(async () => {
  await Promise.all([server.close(), line.close(), upstream.close()])
})

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
  line.control.clearFailures()
})

async function pressUnlink(browser: Browser, id: string) {
  const page = await browser.open(`${server.issuer}/account/connections/${id}/unlink`)
  return browser.submit(page, '/unlink')
}

const nothing = { rows: {}, events: [] }
const unlinked = { FederatedIdentity: '-1', FormerIdentity: '+1', LinkConsent: '~1', UpstreamToken: '-1' }

describe('an account is not unlinked', () => {
  test('by who has not linked it', async () => {
    const [owner, member] = [await givenMember(server), await givenMember(server)]
    await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream' })
    const browser = await signInTo(server, member)
    const page = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    expect(page.status).toBe(404)
    const own = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await browser.submit(form, '/unlink')
    const { result, ...changes } = await changesOf(server, () => browser.submit(form, '/unlink'))
    expect(own.memberId).toBe(member.id)
    expect(result.status).toBe(404)
    expect(changes).toEqual(nothing)
    expect(await server.db.federatedIdentity.count({ where: { memberId: owner.id } })).toBe(1)
  })

  test('while the sign-in is older than the limit', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
    const browser = await signInTo(server, member)
    const page = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    server.advance(601)
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/unlink'))
    expect(result.html).toContain('Confirm it is you')
    expect(changes).toEqual(nothing)
  })

  test('when it is the last way to sign in: the page says so and has no button', async () => {
    const { member, browser } = await givenWithoutPassword(['upstream'])
    const page = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    expect(page.html).not.toContain('action="/account/identities/')
    await server.db.passwordCredential.create({ data: { memberId: member.id, ...noPassword } })
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await server.db.passwordCredential.delete({ where: { memberId: member.id } })
    const { result, ...changes } = await changesOf(server, () => browser.submit(form, '/unlink'))
    expect(result.status).toBe(409)
    expect(changes).toEqual(nothing)
  })

  test('when the other one only links and does not sign in', async () => {
    const linkOnly = await givenConnection(server)
    const { browser } = await givenWithoutPassword(['upstream', linkOnly.id])
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await server.db.connection.update({ where: { id: linkOnly.id }, data: { allowSignIn: false } })
    const { result, ...changes } = await changesOf(server, () => browser.submit(form, '/unlink'))
    expect(result.status).toBe(409)
    expect(changes).toEqual(nothing)
  })

  test('of the last two when both are unlinked at once: one stays', async () => {
    const second = await givenConnection(server)
    for (let round = 0; round < 5; round += 1) {
      const { member, browser } = await givenWithoutPassword(['upstream', second.id])
      const forms = await Promise.all(
        ['upstream', second.id].map((id) =>
          browser.open(`${server.issuer}/account/connections/${id}/unlink`),
        ),
      )
      const answers = await Promise.all(forms.map((form) => browser.submit(form, '/unlink')))
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
      expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(1)
    }
  })
})

const noPassword = { hash: 'of no password', changedAt: new Date() }

async function givenWithoutPassword(ids: string[]): Promise<{ member: GivenMember; browser: Browser }> {
  const member = await givenMember(server)
  for (const connectionId of ids) await givenIdentity(server, { memberId: member.id, connectionId })
  const browser = await signInTo(server, member)
  await server.db.passwordCredential.delete({ where: { memberId: member.id } })
  return { member, browser }
}

test('what is unlinked is gone, but the evidence of the agreement and its end', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'upstream')
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  const { result, ...changes } = await changesOf(server, () => pressUnlink(browser, 'upstream'))
  expect(result.html).toContain('Web Shop is no longer linked.')
  const data = { connectionId: 'upstream', identityId: identity.id, reason: 'member' }
  expect(changes).toEqual({
    rows: unlinked,
    events: [{ type: 'identity.unlinked', memberId: member.id, data }],
  })
  const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  expect(consent.endedAt).toBeInstanceOf(Date)
  expect(upstream.requests).toContain('/token/revocation')
})

test('a form sent twice unlinks once', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'upstream')
  const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
  const { result, ...changes } = await changesOf(server, () =>
    Promise.all([browser.submit(form, '/unlink'), browser.submit(form, '/unlink')]),
  )
  expect(result.map(({ status }) => status).sort()).toEqual([200, 404])
  expect(changes.rows).toEqual(unlinked)
  expect(changes.events).toHaveLength(1)
})

test.each([
  ['en', /no longer|unlinked/i, 'Web Shop'],
  ['ja', /解除/, '通販'],
])('the member is told of the unlink in their own language, %s', async (locale, words, name) => {
  const member = await givenMember(server, { locale })
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'upstream')
  await pressUnlink(browser, 'upstream')
  const mail = await mailTo(server, member.email, words)
  expect(mail.text).toContain(name)
  expect(mail.text).toContain('Hana at the shop')
})

describe('LINE', () => {
  async function givenLinked(): Promise<{ member: GivenMember; browser: Browser; person: string }> {
    const person = `person-${count}`
    const email = `${person}@line.example`
    line.control.putPerson({
      id: person,
      name: `LINE ${count}`,
      email,
      password: 'password',
      picture: true,
      language: 'ja',
      profileConsent: true,
    })
    line.control.signInToApp(person, 'any')
    line.control.planConsent(person, { allow: true, email: false, addFriend: false })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    await linkThrough(server, browser, 'line')
    return { member, browser, person }
  }

  const consentOf = (person: string) => line.simulator.state.consents[`${loginChannelId}:${person}`]
  const liveTokensOf = (person: string) =>
    [
      ...Object.values(line.simulator.state.accessTokens),
      ...Object.values(line.simulator.state.refreshTokens),
    ].filter(({ personId, revoked }) => personId === person && !revoked)

  test('is told of the unlink on the page that asks for it, and then ends consent and tokens', async () => {
    const { browser, person } = await givenLinked()
    expect(consentOf(person)).toBeDefined()
    expect(liveTokensOf(person).length).toBeGreaterThan(0)
    const page = await browser.open(`${server.issuer}/account/connections/line/unlink`)
    expect(page.html).toContain('We tell LY Corporation')
    const { rows } = await changesOf(server, () => browser.submit(page, '/unlink'))
    expect(rows).toEqual(unlinked)
    expect(consentOf(person)).toBeUndefined()
    expect(liveTokensOf(person)).toEqual([])
  })

  test.each([
    ['the channel token', '/oauth2/v3/token'],
    ['refreshing', '/oauth2/v2.1/token'],
    ['deauthorizing', '/user/v1/deauthorize'],
  ])('is told again when %s answered 500, and the tokens wait sealed until then', async (_, pathPrefix) => {
    const { browser, person } = await givenLinked()
    line.control.fail({
      pathPrefix,
      remaining: 1,
      status: 500,
      moment: 'before',
      delayMs: 0,
      resetConnection: false,
    })
    const first = await changesOf(server, () => pressUnlink(browser, 'line'))
    expect(first.result.html).toContain('LINE is no longer linked.')
    expect(first.rows).toEqual({ ...unlinked, UpstreamToken: '~1' })
    expect(consentOf(person)).toBeDefined()
    server.advance(2)
    await server.app.dispatcher.drain()
    expect(consentOf(person)).toBeUndefined()
    expect(
      await server.db.upstreamToken.count({ where: { connectionId: 'line', discardedAt: { not: null } } }),
    ).toBe(0)
  })

  test('counts as told when the member had ended it there before', async () => {
    const { browser, person } = await givenLinked()
    line.control.revokeApp(loginChannelId, person)
    const { rows } = await changesOf(server, () => pressUnlink(browser, 'line'))
    expect(rows).toEqual(unlinked)
  })

  test('is deauthorized with a token that works when the stored one has run out', async () => {
    const { browser, person } = await givenLinked()
    line.control.advanceClock(31 * 86_400)
    const { rows } = await changesOf(server, () => pressUnlink(browser, 'line'))
    line.control.advanceClock(-31 * 86_400)
    expect(rows).toEqual(unlinked)
    expect(consentOf(person)).toBeUndefined()
  })

  test('keeps a new link that was made before the end of the old one could be told', async () => {
    const { browser, person } = await givenLinked()
    line.control.fail({
      pathPrefix: '/user/v1/deauthorize',
      remaining: 1,
      status: 500,
      moment: 'before',
      delayMs: 0,
      resetConnection: false,
    })
    await pressUnlink(browser, 'line')
    await server.app.dispatcher.drain()
    await linkThrough(server, browser, 'line')
    server.advance(2)
    await server.app.dispatcher.drain()
    expect(consentOf(person)).toBeDefined()
    expect(liveTokensOf(person).length).toBeGreaterThan(0)
    expect(
      await server.db.upstreamToken.count({ where: { connectionId: 'line', discardedAt: { not: null } } }),
    ).toBe(0)
  })
})

test('an identity is taken off its own member alone, whoever asks', async () => {
  const [owner, member] = [await givenMember(server), await givenMember(server)]
  const { id: identityId } = await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream' })
  const policy = { sealer: server.sealer, coolOffDays: 7 }
  await expect(
    unlinkIdentity(server.db, policy, { memberId: member.id, identityId }, server.now()),
  ).rejects.toMatchObject({ code: 'link_not_found' })
})
