import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { catchCallback, changesOf, pressLink, signInTo, typesOf, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let second: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  second = await givenUpstream(server, { id: 'other' })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), second.close()])
})

let count = 0
let member: GivenMember
let browser: Browser
let page: Page
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  member = await givenMember(server)
  browser = await signInTo(server, member)
  page = await pressLink(server, browser, 'upstream')
})

const nothing = { rows: {}, events: [] }
const oneLink = { FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' }

/** The form of `page` as somebody else would send it: with a token of their own browser. */
async function sendAs(
  stranger: Browser,
  path: string,
  fields: Record<string, string> = {},
): Promise<Response> {
  const own = await stranger.open(`${server.issuer}/account`)
  const _csrf = /name="_csrf" value="([^"]+)"/.exec(own.html)?.[1] ?? ''
  return stranger.request(page.url.href + path, {
    method: 'POST',
    body: new URLSearchParams({ shown: shownOn(page), ...fields, _csrf }),
    headers: { origin: server.issuer, 'sec-fetch-site': 'same-origin' },
  })
}

const shownOn = ({ html }: Page) => /name="shown" value="([^"]+)"/.exec(html)?.[1] ?? ''

describe('a link transaction is of no use', () => {
  test.each([
    ['in another browser of the same member', () => signInTo(server, member)],
    ['to another member', async () => signInTo(server, await givenMember(server))],
    ['to a stranger', async () => visitor()],
  ])('%s: not to see, not to agree, not to decline', async (_, someone) => {
    const stranger = await someone()
    const { result, ...changes } = await changesOf(server, async () => [
      (await stranger.open(page.url)).status,
      (await sendAs(stranger, '/agree')).status,
      (await sendAs(stranger, '/decline')).status,
    ])
    expect(result).toEqual([403, 403, 403])
    expect(changes).toEqual(nothing)
    expect((await browser.submit(page, '/agree')).html).toContain('is now linked.')
  })

  test('in the same browser to another member who signed in there', async () => {
    await signOut(browser)
    const second = await givenMember(server)
    await signInTo(server, second, browser)
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('to another member who gave the fresh proof in the open session', async () => {
    await browser.submit(page, '/agree')
    const other = await pressLink(server, browser, 'other')
    server.advance(601)
    const form = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    const { email, password } = await givenMember(server)
    // The engine ends the first member's session by a page that sends itself.
    const change = await browser.submit(form, '/sign-in', { email, password })
    const unlink = await browser.submit(change, '/sign-out/confirm')
    expect(unlink.status).toBe(404)
    const { result, ...changes } = await changesOf(server, () => browser.submit(other, '/agree'))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('after sign-out, nor to the same member in a new session', async () => {
    await signOut(browser)
    const out = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(out.result.status).toBe(403)
    expect(out).toMatchObject(nothing)
    await signInTo(server, member, browser)
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('after every session of the member was ended elsewhere', async () => {
    server.advance(2)
    const other = await signInTo(server, member)
    server.advance(2)
    const security = await other.open(`${server.issuer}/account/security`)
    await other.submit(security, '/account/sign-out-everywhere')
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('before the account was proved', async () => {
    const unproved = await openUnproved()
    const fields = { _csrf: /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? '' }
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(`${unproved}/agree`, {
        method: 'POST',
        body: new URLSearchParams({ ...fields, shown: shownOn(page) }),
      }),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('by an id that nobody was given', async () => {
    for (const id of ['x'.repeat(32), 'short', `${'x'.repeat(200)}`, '%00', '..%2Faccount']) {
      const { result, ...changes } = await changesOf(server, () =>
        browser.open(`${server.issuer}/link/${id}`),
      )
      expect(result.status).toBeGreaterThanOrEqual(400)
      expect(result.status).toBeLessThan(500)
      expect(changes).toEqual(nothing)
    }
  })

  test('a second time: the back button leads to where it has led', async () => {
    await browser.submit(page, '/agree')
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.url.pathname).toBe('/account')
    expect(changes).toEqual(nothing)
    expect((await browser.open(page.url)).url.pathname).toBe('/account')
  })

  test('to unlink and link again with the old proof', async () => {
    await browser.submit(page, '/agree')
    const unlink = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await browser.submit(unlink, '/unlink')
    const { rows } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(rows).toEqual({})
  })
})

async function signOut(one: Browser): Promise<void> {
  const account = await one.open(`${server.issuer}/account`)
  const ask = await one.submit(account, '/account/sign-out')
  await one.submit(ask, '/sign-out/confirm', { logout: 'yes' })
  expect((await one.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
}

/** The address of a transaction whose account is not proved yet. */
async function openUnproved(): Promise<string> {
  const account = await browser.open(`${server.issuer}/account`)
  browser.stopAt(`${server.issuer}/link/`)
  const { url } = await browser.submit(account, '/connections/upstream/link')
  browser.stopAt(undefined)
  return url.href
}

describe('an agreement', () => {
  test.each([
    ['with another digest', { shown: 'A'.repeat(43) }],
    ['with an empty digest', { shown: '' }],
  ])('%s than that of the page shows the page again', async (_, fields) => {
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree', fields))
    expect(result.status).toBe(200)
    expect(shownOn(result)).toBe(shownOn(page))
    expect(changes).toEqual(nothing)
  })

  test.each([
    ['of 101 characters', new URLSearchParams({ shown: 'A'.repeat(101) })],
    ['that is missing', new URLSearchParams()],
    [
      'given twice',
      new URLSearchParams([
        ['shown', 'a'],
        ['shown', 'b'],
      ]),
    ],
  ])('with a digest %s is refused', async (_, fields) => {
    fields.set('_csrf', /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? '')
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(`${page.url.href}/agree`, { method: 'POST', body: fields }),
    )
    expect(result.status).toBe(400)
    expect(changes).toEqual(nothing)
  })

  test('to one page is none to the page of another transaction', async () => {
    upstream.behavior.claims = { name: 'Another account' }
    const second = await pressLink(server, await signInTo(server, member), 'upstream')
    upstream.behavior.claims = {}
    const { rows } = await changesOf(server, () => browser.submit(page, '/agree', { shown: shownOn(second) }))
    expect(shownOn(second)).not.toBe(shownOn(page))
    expect(rows).toEqual({})
  })

  test.each([
    ['from another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['from a sibling site', { origin: server?.issuer ?? '', 'sec-fetch-site': 'same-site' }],
    ['from a browser that does not say more', { origin: 'null' }],
  ])('%s is refused, even with the right token', async (_, headers) => {
    const _csrf = /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
    const { result, ...changes } = await changesOf(server, () =>
      browser.request(`${page.url.href}/agree`, {
        method: 'POST',
        body: new URLSearchParams({ _csrf, shown: shownOn(page) }),
        headers,
      }),
    )
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('sent twenty times at once links once', async () => {
    const changes = await changesOf(server, () =>
      Promise.all(Array.from({ length: 20 }, () => browser.submit(page, '/agree'))),
    )
    expect(changes.rows).toEqual(oneLink)
    expect(typesOf(changes)).toEqual(['identity.linked'])
    for (const { status } of changes.result) expect(status).toBeLessThan(500)
  })

  test('and a refusal at once have one outcome, and that one is recorded', async () => {
    const changes = await changesOf(server, () =>
      Promise.all([browser.submit(page, '/agree'), browser.submit(page, '/decline')]),
    )
    expect(typesOf(changes)).toHaveLength(1)
    expect(changes.rows).toEqual(typesOf(changes)[0] === 'identity.linked' ? oneLink : {})
  })

  test('is not given by visiting: no address alone links', async () => {
    const { result, ...changes } = await changesOf(server, () => browser.open(`${page.url.href}/agree`))
    expect(result.status).toBeGreaterThanOrEqual(400)
    expect(changes).toEqual(nothing)
  })
})

test('linking begins with a form of ours alone, not with an address', async () => {
  const { result, ...changes } = await changesOf(server, () =>
    browser.open(`${server.issuer}/account/connections/upstream/link`),
  )
  expect(result.status).toBeGreaterThanOrEqual(400)
  expect(changes).toEqual(nothing)
  const callback = await catchCallback(server, browser, 'upstream')
  expect(callback.searchParams.get('state')).toMatch(/^[\w-]{43}$/)
})
