import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { noteGrantUse } from '../../src/oidc/grant.ts'
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
import { changesOf } from '../support/linking.ts'
import { post, send } from '../support/post.ts'
import { type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const scope = 'openid email offline_access'
const services = (browser: Browser, path = '') => browser.open(`${server.issuer}/account/services${path}`)

async function givenParty(input: NonNullable<Parameters<typeof givenClient>[1]> = {}): Promise<RelyingParty> {
  const scopes = ['openid', 'profile', 'email', 'offline_access', 'linked_accounts']
  return relyingParty(server, await givenClient(server, { scopes, ...input }))
}

/** A member with these relying parties, signed in to all of them. */
async function givenUser(parties: RelyingParty[], member?: GivenMember, language = 'en') {
  const browser = openBrowser(language)
  const who = member ?? (await givenMember(server))
  const tokens = []
  for (const party of parties) tokens.push(await signIn(party, browser, who, { scope }))
  browser.stopAt(undefined)
  return { browser, member: who, tokens }
}

async function isAlive(party: RelyingParty, tokens: Awaited<ReturnType<typeof signIn>>) {
  const headers = { authorization: `Bearer ${tokens.access_token}` }
  const userinfo = await send(`${server.issuer}/userinfo`, { headers })
  const form = { token: tokens.access_token }
  const { json } = await post(server, '/introspect', form, { client: party })
  const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
  const refreshed = await post(server, '/token', refresh, { client: party })
  return { userinfo: userinfo.status, introspection: json.active, refresh: refreshed.status }
}

const dead = { userinfo: 401, introspection: false, refresh: 400 }
const alive = { userinfo: 200, introspection: true, refresh: 200 }

/** The tile of one relying party, as text. */
const tileOf = (html: string, name: string) =>
  (
    html
      .split('<li class="tile">')
      .slice(1)
      .find((tile) => tile.includes(name)) ?? ''
  ).replace(/<[^>]+>/g, ' ')

describe('stopping is refused', () => {
  test('to who is not signed in', async () => {
    expect((await services(openBrowser())).url.pathname).toMatch(/\/sign-in$/)
    expect((await services(openBrowser(), '/any/stop')).url.pathname).toMatch(/\/sign-in$/)
    const answer = await post(server, '/account/services/stop', {})
    expect([401, 403]).toContain(answer.status)
  })

  test('for a service the member does not use, without telling whether it exists', async () => {
    const party = await givenParty()
    const { browser } = await givenUser([await givenParty()])
    for (const id of [party.id, 'nobody']) expect((await services(browser, `/${id}/stop`)).status).toBe(404)
  })

  test("for another member's grant: it goes on", async () => {
    const party = await givenParty()
    const { tokens } = await givenUser([party])
    const stranger = await givenUser([party])
    const page = await services(stranger.browser, `/${party.id}/stop`)
    await stranger.browser.submit(page, '/stop')
    expect(await isAlive(party, tokens[0] ?? never())).toEqual(alive)
  })
})

describe('stopping one service', () => {
  test('asks first, and asking changes nothing', async () => {
    const party = await givenParty()
    const { browser, tokens } = await givenUser([party])
    const { result, ...changes } = await changesOf(server, () => services(browser, `/${party.id}/stop`))
    expect(result.html).toContain(`Stop sharing information with “Shop ${party.id}”?`)
    expect(changes).toEqual({ rows: {}, events: [] })
    expect(await isAlive(party, tokens[0] ?? never())).toEqual(alive)
  })

  test('ends every token it has and nothing else, is recorded and told', async () => {
    const [party, other] = [await givenParty(), await givenParty()]
    const { browser, member, tokens } = await givenUser([party, other])
    const page = await services(browser, `/${party.id}/stop`)
    const { result, rows, events } = await changesOf(server, () => browser.submit(page, '/stop'))
    expect(rows).toEqual({ Grant: '-1' })
    expect(events).toEqual([{ type: 'grant.revoked', memberId: member.id, data: { clientId: party.id } }])
    expect(result.html).toContain(`You no longer share information with “Shop ${party.id}”.`)
    expect(tileOf(result.html, `Shop ${party.id}`)).toBe('')
    expect(await isAlive(party, tokens[0] ?? never())).toEqual(dead)
    expect(await isAlive(other, tokens[1] ?? never())).toEqual(alive)
  })

  test('twice is once', async () => {
    const party = await givenParty()
    const { browser } = await givenUser([party])
    const page = await services(browser, `/${party.id}/stop`)
    const { events } = await changesOf(server, () =>
      Promise.all([1, 2, 3].map(() => browser.submit(page, '/stop'))),
    )
    expect(events.map(({ type }) => type)).toEqual(['grant.revoked'])
  })

  test('means to be asked again; a service of ours begins again by itself, and the page says so', async () => {
    const [party, own] = [await givenParty(), await givenParty({ firstParty: true })]
    const { browser, member } = await givenUser([party, own])
    const pages = [await services(browser, `/${party.id}/stop`), await services(browser, `/${own.id}/stop`)]
    expect(pages[0]?.html).toContain('you are asked again what to share')
    expect(pages[1]?.html).toContain('sharing starts again without asking')
    for (const page of pages) await browser.submit(page, '/stop')
    expect((await services(browser)).html).toContain('You share information with no service at the moment.')
    const consents = await server.db.event.count({ where: { memberId: member.id, type: 'grant.given' } })
    await givenUser([party, own], member)
    expect(await server.db.event.count({ where: { memberId: member.id, type: 'grant.given' } })).toBe(
      consents + 2,
    )
  })
})

test('stopping all ends every token of every service at once', async () => {
  const parties = [await givenParty(), await givenParty({ firstParty: true })]
  const { browser, member, tokens } = await givenUser(parties)
  const page = await services(browser, '/stop')
  for (const { id } of parties) expect(page.html).toContain(`Shop ${id}`)
  const { result, events } = await changesOf(server, () => browser.submit(page, '/stop'))
  expect(events).toEqual(
    parties
      .map(({ id }) => ({ type: 'grant.revoked', memberId: member.id, data: { clientId: id } }))
      .sort((a, b) => a.data.clientId.localeCompare(b.data.clientId)),
  )
  expect(result.html).toContain('You no longer share information with any service.')
  for (const [index, party] of parties.entries())
    expect(await isAlive(party, tokens[index] ?? never())).toEqual(dead)
  // With nothing left there is nothing to confirm.
  expect((await services(browser, '/stop')).url.pathname).toBe('/account/services')
})

describe('the list', () => {
  test('is empty for who used nothing, and names neither other members’ services nor our own pages', async () => {
    const { browser } = await givenUser([])
    const { email, password } = await givenMember(server)
    await browser.submit(await browser.open(`${server.issuer}/account`), '/sign-in', { email, password })
    const page = await services(browser)
    expect(page.html).toContain('You share information with no service at the moment.')
    expect(page.html).not.toContain('class="tile"')
  })

  test.each([
    [
      'en',
      'Shop',
      ['External service', 'store.example.com', 'Email address', 'Continued use', 'Privacy policy'],
    ],
    [
      'ja',
      '店',
      ['外部サービス', 'store.example.com', 'メールアドレス', '継続した利用', 'プライバシーポリシー'],
    ],
  ])('says who, since when and what, in %s', async (language, name, expected) => {
    const party = await givenParty({
      clientUri: 'https://store.example.com/',
      policyUri: 'https://store.example.com/policy',
    })
    const { browser } = await givenUser([party], undefined, language)
    const page = await services(browser)
    for (const text of expected) expect(tileOf(page.html, `${name} ${party.id}`)).toContain(text)
    expect(page.html).toContain('<time datetime="')
  })

  test('names the accounts a service may see, as long as it may', async () => {
    const [line, ec] = [await givenConnection(server), await givenConnection(server)]
    const member = await givenMember(server)
    await givenIdentity(server, { memberId: member.id, connectionId: line.id })
    const party = await givenParty({ connections: [line.id, ec.id] })
    const browser = openBrowser()
    await signIn(party, browser, member, { scope: 'openid linked_accounts' })
    browser.stopAt(undefined)
    const tile = async () => tileOf((await services(browser)).html, `Shop ${party.id}`)
    expect(await tile()).toContain(`Linked accounts (${line.name.en}, ${ec.name.en})`)
    await server.db.clientConnection.deleteMany({ where: { clientId: party.id, connectionId: ec.id } })
    expect(await tile()).toContain(`Linked accounts (${line.name.en})`)
  })

  test('does not name a service that was shut out', async () => {
    const party = await givenParty()
    const { browser } = await givenUser([party])
    await inTransaction(server.db, (tx) => disableClient(tx, party.id, server.now()))
    expect((await services(browser)).html).not.toContain(`Shop ${party.id}`)
  })

  test('is one press away from the account page', async () => {
    const { browser } = await givenUser([await givenParty()])
    const account = await browser.open(`${server.issuer}/account`)
    expect(account.html).toContain('<a class="tile tile--link" href="/account/services">')
  })
})

describe('last use', () => {
  const usedAt = async (member: GivenMember) =>
    (await server.db.grant.findFirstOrThrow({ where: { memberId: member.id } })).lastUsedAt

  test('is the last sign-in or refresh, to the minute', async () => {
    const party = await givenParty()
    const { member, tokens } = await givenUser([party])
    const first = await vi.waitFor(async () => (await usedAt(member)) ?? never())
    server.advance(30)
    const refresh = (token: string | undefined) => oidc.refreshTokenGrant(party.config, token ?? '')
    const second = await refresh(tokens[0]?.refresh_token)
    expect(await usedAt(member)).toEqual(first)
    server.advance(31)
    await refresh(second.refresh_token)
    await vi.waitFor(async () => {
      const gap = ((await usedAt(member))?.getTime() ?? 0) - first.getTime()
      expect(gap).toBeGreaterThanOrEqual(60_000)
    })
  })

  test('is written once a minute, however often a grant is used', async () => {
    const party = await givenParty()
    const { member } = await givenUser([party])
    const first = await vi.waitFor(async () => (await usedAt(member)) ?? never())
    const { id } = await server.db.grant.findFirstOrThrow({ where: { memberId: member.id } })
    const later = (seconds: number) => new Date(first.getTime() + seconds * 1000)
    await noteGrantUse(server.db, id, later(59))
    expect(await usedAt(member)).toEqual(first)
    await noteGrantUse(server.db, id, later(61))
    expect(await usedAt(member)).toEqual(later(61))
  })

  test('brings a service to the top of the list', async () => {
    const [early, late] = [await givenParty(), await givenParty()]
    const { browser, member } = await givenUser([early, late])
    const order = async () => {
      const { html } = await services(browser)
      return html.indexOf(`Shop ${early.id}`) < html.indexOf(`Shop ${late.id}`) ? 'early first' : 'late first'
    }
    await vi.waitFor(async () => expect(await order()).toBe('late first'))
    server.advance(61)
    await signIn(early, browser, member, { scope: 'openid' })
    browser.stopAt(undefined)
    await vi.waitFor(async () => expect(await order()).toBe('early first'))
  })
})

function never(): never {
  throw new Error('there is none')
}
