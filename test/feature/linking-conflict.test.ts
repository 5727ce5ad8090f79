import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let other: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  other = await givenUpstream(server, { id: 'other' })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), other.close()])
})

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  other.behavior.subject = `shopper-${count}`
})

const oneLink = { FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' }

/** Somebody who is going to prove an account that another member has linked. */
async function givenClaim() {
  const [owner, member] = [await givenMember(server), await givenMember(server)]
  const { subject } = upstream.behavior
  await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream', subject })
  return { owner, member, browser: await signInTo(server, member) }
}

const found = (member: GivenMember) => {
  const data = { connectionId: 'upstream', way: 'account_page', conflictId: expect.any(String) }
  return {
    rows: { LinkConflict: '+1' },
    events: [{ type: 'link.conflict_found', memberId: member.id, data }],
  }
}

describe('an upstream account of another member', () => {
  test("stays where it is, and whoever proves it is told that it is another member's", async () => {
    const { member, browser } = await givenClaim()
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(result.status).toBe(409)
    expect(result.html).toContain('is linked to another member')
    expect(result.html).toContain('nothing has been changed yet')
    expect(changes).toEqual(found(member))
  })

  test('is found to be so once, however often its page is opened', async () => {
    const { browser } = await givenClaim()
    const page = await pressLink(server, browser, 'upstream')
    const again = await changesOf(server, () =>
      Promise.all([browser.open(page.url), browser.open(page.url), pressLink(server, browser, 'upstream')]),
    )
    expect(again).toMatchObject({ rows: {}, events: [] })
  })

  test('is told to be so when it became theirs while the page was open', async () => {
    const [owner, member] = [await givenMember(server), await givenMember(server)]
    const browser = await signInTo(server, member)
    const page = await pressLink(server, browser, 'upstream')
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream', subject })
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(409)
    expect(changes).toEqual(found(member))
    // And goes on from there.
    expect((await browser.submit(result, '/keep')).html).toContain('Nothing was changed.')
  })

  test('goes to one of twenty members who agree at once', async () => {
    const pages: { browser: Browser; page: Page }[] = []
    for (let i = 0; i < 20; i += 1) {
      const browser = await signInTo(server, await givenMember(server))
      pages.push({ browser, page: await pressLink(server, browser, 'upstream') })
    }
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all(pages.map(({ browser, page }) => browser.submit(page, '/agree'))),
    )
    expect(changes.rows).toEqual({ ...oneLink, LinkConflict: '+19' })
    expect(result.filter(({ html }) => html.includes('is now linked.'))).toHaveLength(1)
    expect(result.filter(({ status }) => status === 409)).toHaveLength(19)
    const types = typesOf({ result, ...changes })
    expect(types.filter((type) => type === 'identity.linked')).toHaveLength(1)
    expect(types.filter((type) => type === 'link.conflict_found')).toHaveLength(19)
  }, 60_000)
})

describe('one member', () => {
  test('who has linked the account already is told so', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    const browser = await signInTo(server, member)
    const account = await browser.open(`${server.issuer}/account`)
    expect(account.html).not.toContain('/connections/upstream/link"')
    const { result, ...changes } = await changesOf(server, () => beginLinkAnyway(browser, account))
    expect(result.html).toContain('is already linked.')
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('who has linked another account of the connection keeps it', async () => {
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject: 'the first one' })
    const browser = await signInTo(server, member)
    const account = await browser.open(`${server.issuer}/account`)
    const { result, ...changes } = await changesOf(server, () => beginLinkAnyway(browser, account))
    expect(result.status).toBe(409)
    expect(result.html).toContain('You have already linked another')
    const data = { connectionId: 'upstream', reason: 'another_identity_linked', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.refused', memberId: member.id, data }] })
  })

  test('who agrees to two accounts of one connection at once gets one', async () => {
    const member = await givenMember(server)
    const pages: { browser: Browser; page: Page }[] = []
    for (const subject of [`first-${count}`, `second-${count}`]) {
      upstream.behavior.subject = subject
      const browser = await signInTo(server, member)
      pages.push({ browser, page: await pressLink(server, browser, 'upstream') })
    }
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all(pages.map(({ browser, page }) => browser.submit(page, '/agree'))),
    )
    expect(changes.rows).toEqual(oneLink)
    expect(result.map(({ status }) => status).sort()).toEqual([200, 409])
    expect(typesOf({ result, ...changes }).sort()).toEqual(['identity.linked', 'link.refused'])
  })

  test('who was suspended while the page was open links nothing', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await pressLink(server, browser, 'upstream')
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    const { rows } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(rows).toEqual({})
  })

  test('links accounts of different upstreams, with equal subjects as they may be', async () => {
    const [member, second] = [await givenMember(server), await givenMember(server)]
    const browsers = [await signInTo(server, member), await signInTo(server, second)]
    for (const [i, browser] of browsers.entries()) {
      const id = i === 0 ? 'upstream' : 'other'
      await browser.submit(await pressLink(server, browser, id), '/agree')
    }
    const { subject } = upstream.behavior
    const linked = await server.db.federatedIdentity.findMany({ where: { subject } })
    expect(new Map(linked.map(({ issuer, memberId }) => [issuer, memberId]))).toEqual(
      new Map([
        [upstream.issuer, member.id],
        [other.issuer, second.id],
      ]),
    )
  })
})

/** As a page does that was opened before: its form is still there. */
async function beginLinkAnyway(browser: Browser, account: Page): Promise<Page> {
  const html = account.html.replace('/connections/other/link"', '/connections/upstream/link"')
  return browser.submit({ ...account, html }, '/connections/upstream/link')
}

describe('a sign-in that comes upon an account of another member', () => {
  /** A member on the way in through an unknown account, which is another's by the time they agree. */
  async function beOvertaken() {
    const [owner, member] = [await givenMember(server), await givenMember(server)]
    upstream.behavior.claims = { name: 'Hanako', email: member.email }
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const signIn = await browser.submit(form, '/connections/upstream')
    const { email, password } = member
    const page = await browser.submit(signIn, '/sign-in', { email, password })
    upstream.behavior.claims = {}
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream', subject })
    return { owner, member, browser, page: await browser.submit(page, '/agree') }
  }

  test('goes on without the account when it is left there', async () => {
    const { member, browser, page } = await beOvertaken()
    expect(page.status).toBe(409)
    const account = await browser.submit(page, '/keep')
    expect(account.url.pathname).toBe('/account')
    expect(account.html.replace(/<[^>]+>/g, '')).toContain(member.id)
  })

  test('goes on with it when it is moved', async () => {
    const { member, browser, page } = await beOvertaken()
    const account = await browser.submit(
      await browser.open(`${page.url.href.replace('/agree', '')}/move`),
      '/move',
    )
    expect(account.url.pathname).toBe('/account')
    const held = await server.db.federatedIdentity.findFirst({ where: { memberId: member.id } })
    expect(held?.subject).toBe(upstream.behavior.subject)
  })

  test('begins anew when who was signing in has become part of the other', async () => {
    const { owner, browser, page } = await beOvertaken()
    const merge = await browser.open(`${page.url.href.replace('/agree', '')}/merge?survivor=owner`)
    const again = await browser.submit(merge, '/merge')
    expect(again.url.pathname).toMatch(/\/sign-in$/)
    const { email, password } = owner
    const account = await browser.submit(again, '/sign-in', { email, password })
    expect(account.url.pathname).toBe('/account')
  })
})
