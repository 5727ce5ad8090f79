import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decideLink } from '../../src/linking/decide.ts'
import { gatherFacts } from '../../src/linking/identity.ts'
import { endLink } from '../../src/linking/unlink/end-link.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { tokenExchangeGrant } from '../../src/oidc/clients/profile.ts'
import { inTransaction } from '../../src/store/db.ts'
import { type GivenMember, givenClient, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, linkThrough, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import { post } from '../support/post.ts'
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
  upstream.behavior.subject = `cooling-${++count}`
  upstream.behavior.claims = {}
})

const policy = () => ({ sealer: server.sealer, coolOffDays: 7 })
const nothing = { rows: {}, events: [] }
const account = () => ({ issuer: upstream.issuer, subject: upstream.behavior.subject })

/** A member who has linked the upstream's present account and unlinked it again. */
async function givenFormerHolder(): Promise<{ member: GivenMember; identityId: string }> {
  const member = await givenMember(server)
  const { subject } = upstream.behavior
  const { id } = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
  await unlinkIdentity(server.db, policy(), { memberId: member.id, identityId: id }, server.now())
  return { member, identityId: id }
}

/** Comes to the sign-in page as a stranger and goes through the upstream. */
async function arriveThroughUpstream(browser = visitor()) {
  const form = await browser.open(`${server.issuer}/account`)
  return { browser, page: await browser.submit(form, '/connections/upstream') }
}

describe('while an account is kept for the member who unlinked it', () => {
  test('another member cannot link it on the account page', async () => {
    await givenFormerHolder()
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(result.status).toBe(409)
    expect(result.html).toContain('cannot be linked yet')
    const data = { connectionId: 'upstream', reason: 'cooling_off', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.refused', memberId: member.id, data }] })
  })

  test('nobody new is made of it, from whatever page', async () => {
    await givenFormerHolder()
    const { result, ...changes } = await changesOf(server, async () => {
      const { browser, page } = await arriveThroughUpstream()
      const signUp = await browser.open(page.url.href.replace('/sign-in', '/sign-up'))
      return [page, signUp]
    })
    for (const page of result) {
      expect(page.url.pathname).toMatch(/\/sign-in$/)
      expect(page.html).toContain('was unlinked a short while ago')
      expect(page.html).not.toContain('/sign-up"')
    }
    expect(changes).toEqual(nothing)
  })

  test('not even by a form that was open before', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    const { browser, page } = await arriveThroughUpstream()
    expect(page.url.pathname).toMatch(/\/sign-up$/)
    const { id } = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    await unlinkIdentity(server.db, policy(), { memberId: member.id, identityId: id }, server.now())
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(page, '/sign-up', { name: 'Somebody', email: `late-${count}@example.com` }),
    )
    expect(result.html).toContain('was unlinked a short while ago')
    expect(changes).toEqual(nothing)
  })

  test('another member who signs in to link it is told so, and is signed in', async () => {
    await givenFormerHolder()
    const other = await givenMember(server)
    const { browser, page } = await arriveThroughUpstream()
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(page, '/sign-in', { email: other.email, password: other.password }),
    )
    expect(result.html).toContain('cannot be linked yet')
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).toEqual(['link.refused'])
  })

  test('its ID token gives an application nothing', async () => {
    await givenFormerHolder()
    const app = await givenClient(server, {
      profile: 'native',
      redirectUris: ['com.example.app:/callback'],
      connections: ['upstream'],
      firstParty: true,
      metadata: { grant_types: ['authorization_code', tokenExchangeGrant] },
    })
    const form = {
      grant_type: tokenExchangeGrant,
      subject_token: await upstream.mintIdToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    }
    const { result, ...changes } = await changesOf(server, () =>
      post(server, '/token', form, { client: app }),
    )
    expect([result.status, result.json.error_description]).toEqual([
      400,
      'the account is not linked to a member',
    ])
    expect(changes).toEqual(nothing)
  })
})

describe('the member who unlinked an account', () => {
  test('has it again at once, under the id it had, with the day it was first linked', async () => {
    const { member, identityId } = await givenFormerHolder()
    const browser = await signInTo(server, member)
    const { result, ...changes } = await changesOf(server, () => linkThrough(server, browser, 'upstream'))
    expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
    const linked = await server.db.federatedIdentity.findFirstOrThrow({ where: account() })
    const consent = await server.db.linkConsent.findFirstOrThrow({ where: { ...account(), endedAt: null } })
    expect([linked.id, linked.memberId]).toEqual([identityId, member.id])
    const data = { connectionId: 'upstream', way: 'account_page', identityId, consentId: consent.id }
    expect(changes.events).toEqual([
      { type: 'identity.linked', memberId: member.id, data: { ...data, purpose: 'link', restored: true } },
    ])
    expect(result.html).toContain('First linked on')
    await mailTo(server, member.email, /linked again/)
  })

  test('may come through the account itself, proves who they are, and agrees', async () => {
    const { member, identityId } = await givenFormerHolder()
    const { browser, page } = await arriveThroughUpstream()
    const consent = await browser.submit(page, '/sign-in', {
      email: member.email,
      password: member.password,
    })
    await browser.submit(consent, '/agree')
    expect(await server.db.federatedIdentity.findFirstOrThrow({ where: account() })).toMatchObject({
      id: identityId,
      memberId: member.id,
    })
  })
})

test('after its cool-off an account is anybody’s who proves it, and is a link of its own', async () => {
  const { identityId } = await givenFormerHolder()
  const facts = await gatherFacts(
    server.db,
    { ...account(), connectionId: 'upstream', profile: {}, emailVerified: false },
    undefined,
    new Date(server.now().getTime() + 7 * 86_400_000 + 1000),
  )
  expect(decideLink(facts)).toEqual({ action: 'register' })
  await server.db.formerIdentity.updateMany({ where: account(), data: { coolOffUntil: server.now() } })
  const other = await givenMember(server)
  await linkThrough(server, await signInTo(server, other), 'upstream')
  const linked = await server.db.federatedIdentity.findFirstOrThrow({ where: account() })
  expect(linked.memberId).toBe(other.id)
  expect(linked.id).not.toBe(identityId)
})

describe('an account that the upstream has given to somebody else', () => {
  async function givenRecycled() {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    const linked = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    await inTransaction(server.db, (tx) => endLink(tx, policy(), linked, 'identifier_recycled', server.now()))
    return { member, linked }
  }

  test('is not kept for the member it was of', async () => {
    await givenRecycled()
    const { page } = await arriveThroughUpstream()
    expect(page.url.pathname).toMatch(/\/sign-up$/)
  })

  test('is a new account, also to that member', async () => {
    const { member, linked } = await givenRecycled()
    await linkThrough(server, await signInTo(server, member), 'upstream')
    const now = await server.db.federatedIdentity.findFirstOrThrow({ where: account() })
    expect(now.memberId).toBe(member.id)
    expect(now.id).not.toBe(linked.id)
  })
})

test('the end of a link is told at the address the member had then, which is forgotten afterwards', async () => {
  const member = await givenMember(server)
  const linked = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream' })
  await mailTo(server, member.email, /was linked/)
  const taken = `taken-over-${count}@example.com`
  await inTransaction(server.db, async (tx) => {
    await endLink(tx, policy(), linked, 'member', server.now())
    // Whoever unlinks it changes the address in the same moment.
    await tx.contactPoint.updateMany({
      where: { memberId: member.id },
      data: { value: taken, normalized: taken },
    })
  })
  await mailTo(server, member.email, /was unlinked/)
  await server.app.dispatcher.drain()
  expect(server.inbox.messages().filter(({ to }) => to.includes(taken))).toEqual([])
  const former = await server.db.formerIdentity.findFirstOrThrow({ where: { identityId: linked.id } })
  expect(former.sealedAddress).toBeNull()
  const events = await server.db.event.findMany({ where: { memberId: member.id } })
  expect(JSON.stringify(events.map(({ data }) => data))).not.toContain(member.email)
})
