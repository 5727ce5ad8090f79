import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { givenIdentity, givenMember } from '../support/given.ts'
import { catchCallback, changesOf, typesOf, visitor } from '../support/linking.ts'
import { codeSentTo } from '../support/mailbox.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let trusted: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  trusted = await givenUpstream(server, { id: 'trusted', settings: { trustEmail: true } })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), trusted.close()])
})

let count = 0
beforeEach(() => {
  for (const { behavior } of [upstream, trusted]) {
    behavior.subject = `shopper-${++count}`
    behavior.claims = { name: 'Hana at the shop' }
    behavior.decline = false
    behavior.wrong = {}
  }
})

async function signInThrough(browser: Browser, id = 'upstream'): Promise<Page> {
  return browser.submit(await browser.open(`${server.issuer}/account`), `/connections/${id}`)
}

const stepOf = ({ url }: Page) => url.pathname.replace(/\/(interaction|link)\/[\w-]+/, '/$1')
const oneLink = { FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' }

const allowSignIn = (allowed: boolean) =>
  server.db.connection.update({ where: { id: 'upstream' }, data: { allowSignIn: allowed } })

describe('nobody is signed in', () => {
  test('by an upstream account of a suspended member', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    const { result, ...changes } = await changesOf(server, () => signInThrough(visitor()))
    expect(result.status).toBe(403)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('when they decline at the upstream: they may go another way', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    upstream.behavior.decline = true
    const { result, ...changes } = await changesOf(server, () => signInThrough(browser))
    expect(stepOf(result)).toBe('/interaction/sign-in')
    expect(result.html).toContain('was canceled')
    expect(changes).toEqual({
      rows: {},
      events: [
        {
          type: 'link.declined',
          memberId: null,
          data: { connectionId: 'upstream', clientId: expect.any(String), way: 'sign_in' },
        },
      ],
    })
    const { email, password } = member
    expect((await browser.submit(result, '/sign-in', { email, password })).url.pathname).toBe('/account')
  })

  test('through a connection that only links', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    await allowSignIn(false)
    try {
      const { result, ...changes } = await changesOf(server, () =>
        browser.submit(form, '/connections/upstream'),
      )
      expect(result.status).toBe(404)
      expect(changes).toEqual({ rows: {}, events: [] })
      const page = await visitor().open(`${server.issuer}/account`)
      expect(page.html).not.toContain('/connections/upstream"')
    } finally {
      await allowSignIn(true)
    }
  })

  test('through a connection that became one that only links while the callback was under way', async () => {
    const browser = visitor()
    const form = await browser.open(`${server.issuer}/account`)
    const callback = await catchCallback(server, browser, 'upstream', () =>
      browser.submit(form, '/connections/upstream'),
    )
    await allowSignIn(false)
    try {
      upstream.requests.length = 0
      const { result, rows } = await changesOf(server, () => browser.open(callback))
      expect(stepOf(result)).toBe('/interaction/sign-in')
      expect(rows).toEqual({})
      expect(upstream.requests).not.toContain('/token')
    } finally {
      await allowSignIn(true)
    }
  })
})

describe('a known account', () => {
  test('signs its member in, is remembered as used, and gets the new tokens', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    const before = await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    expect(before.lastUsedAt).toBeNull()
    server.advance(60)
    const changes = await changesOf(server, () => signInThrough(visitor()))
    expect(changes.result.url.pathname).toBe('/account')
    expect(changes.rows).toEqual({ FederatedIdentity: '~1', UpstreamToken: '~1' })
    expect(changes.events).toEqual([
      {
        type: 'member.signed_in',
        memberId: member.id,
        data: { amr: [], clientId: 'hitotsu-account', connectionId: 'upstream' },
      },
    ])
    const after = await server.db.federatedIdentity.findUniqueOrThrow({ where: { id: before.id } })
    expect(after.lastUsedAt?.getTime()).toBeGreaterThan(before.linkedAt.getTime())
    expect(after.profile).toEqual({ name: 'Hana at the shop' })
  })

  test('of the same subject at another upstream is another account', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    trusted.behavior.subject = subject
    const changes = await changesOf(server, () => signInThrough(visitor(), 'trusted'))
    expect(stepOf(changes.result)).toBe('/interaction/sign-up')
    expect(changes).toMatchObject({ rows: {}, events: [] })
  })

  test('with a subject in other letters is another account', async () => {
    const member = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: member.id, connectionId: 'upstream', subject })
    upstream.behavior.subject = subject.toUpperCase()
    const { result } = await changesOf(server, () => signInThrough(visitor()))
    expect(stepOf(result)).toBe('/interaction/sign-up')
  })
})

describe('an unknown account', () => {
  test('registers a member once the address is proved, and is linked once they agree', async () => {
    const browser = visitor()
    const email = `from-upstream-${count}@example.com`
    const form = await signInThrough(browser)
    expect(form.html).toContain('value="Hana at the shop"')
    expect(form.html).not.toContain('name="password"')
    const verify = await browser.submit(form, '/sign-up', { email })
    expect(stepOf(verify)).toBe('/interaction/verify-email')
    const registered = await changesOf(server, async () =>
      browser.submit(verify, '/verify-email', { code: await codeSentTo(server, email) }),
    )
    expect(stepOf(registered.result)).toBe('/link')
    expect(registered.rows).toEqual({ Member: '+1', ContactPoint: '+1' })
    const agreed = await changesOf(server, () => browser.submit(registered.result, '/agree'))
    expect(agreed.result.url.pathname).toBe('/account')
    expect(agreed.rows).toEqual(oneLink)
    expect(typesOf(agreed)).toEqual(['identity.linked', 'member.signed_in'])

    const again = await signInThrough(visitor())
    expect(again.url.pathname).toBe('/account')
    expect(again.html).toContain(email.split('@')[0])
  })

  test('whose member declines the link stays unknown, and they are signed in nevertheless', async () => {
    const browser = visitor()
    const email = `declines-${count}@example.com`
    const verify = await browser.submit(await signInThrough(browser), '/sign-up', { email })
    const link = await browser.submit(verify, '/verify-email', { code: await codeSentTo(server, email) })
    const { result, rows } = await changesOf(server, () => browser.submit(link, '/decline'))
    expect(result.url.pathname).toBe('/account')
    expect(rows).toEqual({})
    expect(stepOf(await signInThrough(visitor()))).toBe('/interaction/sign-up')
  })
})

describe('an unknown account with the address of a member', () => {
  test.each([
    ['as it is', (email: string) => email],
    ['in other letters', (email: string) => email.toUpperCase()],
  ])('%s, asks that member to sign in and agree', async (_, write) => {
    const member = await givenMember(server)
    upstream.behavior.claims = { name: 'Hana', email: write(member.email), email_verified: true }
    const browser = visitor()
    const asked = await changesOf(server, () => signInThrough(browser))
    expect(stepOf(asked.result)).toBe('/interaction/sign-in')
    expect(asked.result.html).toContain('There is already an account with the email address')
    expect(asked).toMatchObject({ rows: {}, events: [] })

    const { email, password } = member
    const wrong = await browser.submit(asked.result, '/sign-in', { email, password: `${password}x` })
    expect(wrong.status).toBe(422)
    const link = await browser.submit(wrong, '/sign-in', { email, password })
    expect(stepOf(link)).toBe('/link')
    const agreed = await changesOf(server, () => browser.submit(link, '/agree'))
    expect(agreed.rows).toEqual(oneLink)
    const { memberId } = await server.db.federatedIdentity.findFirstOrThrow({
      where: { subject: upstream.behavior.subject },
    })
    expect(memberId).toBe(member.id)
  })

  test('is linked to whoever signs in, not to whose address it is', async () => {
    const [member, second] = [await givenMember(server), await givenMember(server)]
    upstream.behavior.claims = { name: 'Hana', email: member.email, email_verified: true }
    const browser = visitor()
    const form = await signInThrough(browser)
    const { email, password } = second
    const link = await browser.submit(form, '/sign-in', { email, password })
    expect(link.html).toContain(second.email.split('@')[0])
    await browser.submit(link, '/agree')
    const { memberId } = await server.db.federatedIdentity.findFirstOrThrow({
      where: { subject: upstream.behavior.subject },
    })
    expect(memberId).toBe(second.id)
  })

  test('registers nobody under it, even when the upstream is trusted', async () => {
    const member = await givenMember(server)
    trusted.behavior.claims = { name: 'Hana', email: member.email, email_verified: true }
    const browser = visitor()
    const asked = await signInThrough(browser, 'trusted')
    const form = await browser.open(new URL('sign-up', asked.url))
    const { result, ...changes } = await changesOf(server, () =>
      browser.submit(form, '/sign-up', { name: 'Hana', email: member.email }),
    )
    expect(stepOf(result)).toBe('/interaction/sign-in')
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})

describe('the word of a trusted upstream on an address', () => {
  const vouched = () => `vouched-${count}@example.com`

  test.each([
    ['the text "true"', 'true'],
    ['1', 1],
    ['false', false],
    ['the text "false"', 'false'],
    ['null', null],
    ['a list', [true]],
    ['nothing', undefined],
    ['true, from an upstream that is not trusted', true, 'upstream'],
  ])('counts for nothing when email_verified is %s', async (_, verified, id = 'trusted') => {
    const { behavior } = id === 'trusted' ? trusted : upstream
    behavior.claims = { name: 'Hana', email: vouched(), email_verified: verified }
    const browser = visitor()
    const form = await signInThrough(browser, id)
    const { result, rows } = await changesOf(server, () => browser.submit(form, '/sign-up'))
    expect(stepOf(result)).toBe('/interaction/verify-email')
    expect(rows).toEqual({})
  })

  test('counts for nothing when another address is registered', async () => {
    trusted.behavior.claims = { name: 'Hana', email: vouched(), email_verified: true }
    const browser = visitor()
    const form = await signInThrough(browser, 'trusted')
    const { result, rows } = await changesOf(server, () =>
      browser.submit(form, '/sign-up', { email: `other-${vouched()}` }),
    )
    expect(stepOf(result)).toBe('/interaction/verify-email')
    expect(rows).toEqual({})
  })

  test('spares the code when it is the boolean true and the address is the same', async () => {
    trusted.behavior.claims = { name: 'Hana', email: vouched(), email_verified: true }
    const browser = visitor()
    const form = await signInThrough(browser, 'trusted')
    const changes = await changesOf(server, () => browser.submit(form, '/sign-up'))
    expect(stepOf(changes.result)).toBe('/link')
    expect(changes.rows).toEqual({ Member: '+1', ContactPoint: '+1' })
    expect(changes.events).toEqual([
      {
        type: 'member.registered',
        memberId: expect.any(String),
        data: { via: 'connection', connectionId: 'trusted' },
      },
    ])
  })

  test('makes one member of two forms that are sent at once', async () => {
    trusted.behavior.claims = { name: 'Hana', email: vouched(), email_verified: true }
    const browser = visitor()
    const form = await signInThrough(browser, 'trusted')
    const { result, rows } = await changesOf(server, () =>
      Promise.all([browser.submit(form, '/sign-up'), browser.submit(form, '/sign-up')]),
    )
    expect(rows).toEqual({ Member: '+1', ContactPoint: '+1' })
    for (const { status } of result) expect(status).toBeLessThan(500)
  })
})
