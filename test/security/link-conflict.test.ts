import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { acceptInvitation, apiToken, callApi, givenShop } from '../support/link-api.ts'
import { catchCallback, changesOf, pressLink, signInTo, visitor } from '../support/linking.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let linkOnly: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  linkOnly = await givenUpstream(server, { id: 'link-only' })
  await server.db.connection.update({ where: { id: 'link-only' }, data: { allowSignIn: false } })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close(), linkOnly.close()])
})

let count = 0
let owner: GivenMember
let claimant: GivenMember
let browser: Browser
beforeEach(async () => {
  count += 1
  for (const one of [upstream, linkOnly]) one.behavior.subject = `contested-${count}`
  owner = await givenMember(server, { name: `Owner ${count}` })
  claimant = await givenMember(server)
  browser = await signInTo(server, claimant)
})

const nothing = { rows: {}, events: [] }
const textOf = ({ html }: Page) => html.replace(/<[^>]+>/g, '')
const csrfOf = ({ html }: Page) => /name="_csrf" value="([^"]+)"/.exec(html)?.[1] ?? ''

async function openConflictPage(connectionId = 'upstream'): Promise<Page> {
  await givenIdentity(server, { memberId: owner.id, connectionId, subject: `contested-${count}` })
  return pressLink(server, browser, connectionId)
}

const holder = async () =>
  (await server.db.federatedIdentity.findFirst({ where: { subject: `contested-${count}` } }))?.memberId

/** A form as another browser would send it, with a token of its own. */
async function send(who: Browser, url: string, fields: Record<string, string> = {}): Promise<number> {
  const own = await who.open(`${server.issuer}/account`)
  const response = await who.request(url, {
    method: 'POST',
    body: new URLSearchParams({ shown: 'A'.repeat(43), survivor: 'claimant', ...fields, _csrf: csrfOf(own) }),
    headers: { origin: server.issuer, 'sec-fetch-site': 'same-origin' },
  })
  return response.status
}

describe('a conflict is of no use', () => {
  test.each([
    ['in another browser of the claimant', () => signInTo(server, claimant)],
    ['to the owner', () => signInTo(server, owner)],
    ['to a stranger', async () => visitor()],
  ])('%s: not to see, not to choose', async (_, someone) => {
    const { href } = (await openConflictPage()).url
    const who = await someone()
    const { result, ...changes } = await changesOf(server, async () => {
      const seen = []
      for (const path of ['', '/move', '/merge', '/owner']) seen.push((await who.open(href + path)).status)
      for (const path of ['/keep', '/raise', '/move', '/merge', '/owner', '/owner/connections/upstream'])
        seen.push(await send(who, href + path, { email: owner.email, password: owner.password }))
      return seen
    })
    expect(result).toEqual(Array(10).fill(403))
    expect(changes).toEqual(nothing)
  })

  test('to another member who signed in in the same browser', async () => {
    const page = await openConflictPage()
    const preview = await browser.open(`${page.url.href}/move`)
    const account = await browser.open(`${server.issuer}/account`)
    await browser.submit(await browser.submit(account, '/account/sign-out'), '/sign-out/confirm', {
      logout: 'yes',
    })
    await signInTo(server, await givenMember(server), browser)
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(result.status).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('a second time: what was moved is not moved back by the same proof', async () => {
    const page = await openConflictPage()
    const preview = await browser.open(`${page.url.href}/move`)
    await browser.submit(preview, '/move')
    const owners = await signInTo(server, owner)
    await owners.submit(
      await owners.open(`${(await pressLink(server, owners, 'upstream')).url.href}/move`),
      '/move',
    )
    expect(await holder()).toBe(owner.id)
    const { result, ...changes } = await changesOf(server, () => browser.submit(preview, '/move'))
    expect(result.url.pathname).toBe('/account')
    expect(changes).toEqual(nothing)
    expect(await holder()).toBe(owner.id)
  })
})

describe('before the other side is proved', () => {
  test('the pages are the same whoever holds the account, and whether or not they may act', async () => {
    const page = await openConflictPage('link-only')
    const form = await browser.open(`${page.url.href}/owner`)
    for (const secret of [owner.name, owner.id, owner.email, owner.email.split('@')[0] ?? '']) {
      expect(textOf(page)).not.toContain(secret)
      expect(textOf(form)).not.toContain(secret)
    }
    await server.db.member.update({ where: { id: owner.id }, data: { status: 'suspended' } })
    await server.db.passwordCredential.delete({ where: { memberId: owner.id } })
    expect(textOf(await browser.open(page.url))).toBe(textOf(page))
    expect(textOf(await browser.open(`${page.url.href}/owner`))).toBe(textOf(form))
  })

  test('what a shop vouches for shows nothing of who holds it', async () => {
    const shop = await givenShop(server, `cart${count}`)
    const token = await apiToken(server, shop)
    const subject = `contested-${count}`
    await givenIdentity(server, { memberId: owner.id, connectionId: `cart${count}`, subject })
    const ticket = { connection: `cart${count}`, subject, profile: {}, purpose: 'link' }
    const { json } = await callApi(server, '/link-tickets', ticket, { token })
    const page = await acceptInvitation(visitor(), String(json.url), claimant)
    expect(page.status).toBe(409)
    expect(textOf(page)).toContain('Nobody has signed in at')
    for (const secret of [owner.name, owner.id, owner.email.split('@')[0] ?? ''])
      expect(textOf(page)).not.toContain(secret)
    expect(page.html).not.toContain('/move"')
    expect(page.html).not.toContain('/merge"')
  })

  test('no form moves or merges, not even one with the right digest of another conflict', async () => {
    const other = await pressMoveOfAnother()
    const page = await openConflictPage('link-only')
    const changes = await changesOf(server, async () => [
      await send(browser, `${page.url.href}/move`, { shown: other }),
      await send(browser, `${page.url.href}/merge`, { shown: other, survivor: 'owner' }),
    ])
    expect(changes).toEqual({ ...nothing, result: [303, 303] })
    expect(await holder()).toBe(owner.id)
  })
})

/** The digest on the page that moves an account which signs in, of the same owner to the same claimant. */
async function pressMoveOfAnother(): Promise<string> {
  const page = await openConflictPage()
  const preview = await browser.open(`${page.url.href}/move`)
  await server.db.federatedIdentity.deleteMany({ where: { memberId: owner.id } })
  return /name="shown" value="([^"]+)"/.exec(preview.html)?.[1] ?? ''
}

describe('signing in as the owner', () => {
  const prove = (page: Page, email: string, password: string) =>
    browser.submit(page, '/owner', { email, password })

  test('with a wrong password, or as somebody else, proves nothing and says the same of any address', async () => {
    const third = await givenMember(server)
    const form = await browser.open(`${(await openConflictPage('link-only')).url.href}/owner`)
    const wrong = await prove(form, owner.email, 'not the password')
    const unknown = await prove(form, `nobody-${count}@example.com`, 'not the password')
    expect([wrong.status, unknown.status]).toEqual([422, 422])
    const words = (page: Page) => textOf(page).replace(/value="[^"]*"/g, '')
    expect(words(wrong)).toBe(words(unknown))
    for (const someone of [third, claimant]) {
      const { result, ...changes } = await changesOf(server, () =>
        prove(form, someone.email, someone.password),
      )
      expect(result.status).toBe(422)
      expect(changes).toEqual(nothing)
    }
  })

  test('can be guessed at ten times and no more', async () => {
    const form = await browser.open(`${(await openConflictPage('link-only')).url.href}/owner`)
    const statuses = []
    for (let guess = 0; guess < 11; guess += 1)
      statuses.push((await prove(form, owner.email, `no ${guess}`)).status)
    expect(statuses).toEqual([...Array(10).fill(422), 429])
    expect((await prove(form, owner.email, owner.password)).status).toBe(429)
  })

  test('leaves the password nowhere', async () => {
    const form = await browser.open(`${(await openConflictPage('link-only')).url.href}/owner`)
    const page = await prove(form, owner.email, 'mistaken violet password')
    expect(page.html).not.toContain('mistaken violet password')
    await prove(form, owner.email, owner.password)
    for (const secret of ['mistaken violet password', owner.password])
      expect(server.logged()).not.toContain(secret)
  })

  test('is not done at a connection that only links', async () => {
    const page = await openConflictPage('link-only')
    expect(await send(browser, `${page.url.href}/owner/connections/link-only`)).toBe(404)
  })

  test('is not what an answer to the first trip says, however many were made', async () => {
    await givenIdentity(server, {
      memberId: owner.id,
      connectionId: 'link-only',
      subject: `contested-${count}`,
    })
    const account = await browser.open(`${server.issuer}/account`)
    browser.stopAt(`${server.issuer}/link/`)
    const { url } = await browser.submit(account, '/connections/link-only/link')
    const trip = () => catchCallback(server, browser, 'link-only', () => browser.open(url))
    const [first, second] = [await trip(), await trip()]
    await browser.open(first)
    const { result, ...changes } = await changesOf(server, () => browser.open(second))
    expect(result.status).toBe(410)
    expect(changes).toEqual(nothing)
    expect((await browser.open(`${url.href}/move`)).url.pathname).toBe(url.pathname)
    expect(await holder()).toBe(owner.id)
  })

  test('at an upstream counts in the browser that went there, once, and for this conflict', async () => {
    await givenIdentity(server, {
      memberId: owner.id,
      connectionId: 'upstream',
      subject: `contested-${count}`,
    })
    const page = await openConflictPage('link-only')
    const form = await browser.open(`${page.url.href}/owner`)
    const callback = await catchCallback(server, browser, 'upstream', () =>
      browser.submit(form, '/owner/connections/upstream'),
    )
    const stranger = await signInTo(server, await givenMember(server))
    const { result, ...changes } = await changesOf(server, () => stranger.open(callback))
    expect(result.status).toBe(400)
    expect(changes.rows).toEqual({})
    expect((await browser.open(callback)).url.pathname).toBe(page.url.pathname)
    const replayed = await changesOf(server, () => browser.open(callback))
    expect(replayed.rows).toEqual({})
    expect(replayed.events.map(({ type }) => type)).toEqual(['link.refused'])
  })
})
