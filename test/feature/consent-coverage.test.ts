import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { ask, type ClientInput, claims, givenAllowed, givenParty, section } from '../support/consent.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { type RelyingParty, redeem } from '../support/relying-party.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

describe('incremental consent', () => {
  test('what was allowed is not asked again, in any browser', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    await givenAllowed(party, member, { scope: 'openid email' })
    const elsewhere = openBrowser()
    const { page } = await ask(party, elsewhere, { scope: 'openid email' }, member)
    expect(page.url.searchParams.has('code')).toBe(true)
  })

  test('only what is new is asked for; the rest is named as allowed', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser } = await givenAllowed(party, member, { scope: 'openid email' })
    const { page, attempt } = await ask(party, browser, { scope: 'openid email profile' })
    expect(section(page, 'New information to share')).toMatch(/^Profile/)
    expect(section(page, 'New information to share')).not.toContain('Email')
    expect(section(page, 'Already allowed')).toBe('An ID that recognizes you Email address')
    const tokens = await redeem(party, (await browser.submit(page, '/consent')).url, attempt)
    expect(tokens.scope).toBe('openid email profile')
    expect(await server.db.grant.count({ where: { memberId: member.id } })).toBe(1)
  })

  test('prompt=consent without anything new shows what was allowed', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser } = await givenAllowed(party, member, { scope: 'openid email' })
    const { page } = await ask(party, browser, { scope: 'openid email', prompt: 'consent' })
    expect(page.html).toContain('Keep sharing information with')
    expect(section(page, 'Already allowed')).toContain('Email address')
    expect(page.html).not.toContain('Information to share')
  })

  test('a claim is asked for once, and is in userinfo from then on', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser } = await givenAllowed(party, member)
    const named = { claims: claims(['name']) }
    expect((await ask(party, browser, { ...named, prompt: 'none' })).page.url.searchParams.get('error')).toBe(
      'consent_required',
    )
    const { tokens } = await givenAllowed(party, member, named)
    const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, member.id)
    expect(userinfo.name).toBe(member.name)
    const again = await ask(party, browser, { ...named, prompt: 'none' })
    expect(again.page.url.searchParams.has('code')).toBe(true)
  })

  test('a claim of a scope that was allowed is not asked for, and comes where it is asked for', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser } = await givenAllowed(party, member, { scope: 'openid email' })
    const named = { scope: 'openid email', claims: claims(['email'], 'id_token'), prompt: 'none' }
    const { page, attempt } = await ask(party, browser, named)
    const tokens = await redeem(party, page.url, attempt)
    expect(tokens.claims()?.email).toBe(member.email)
  })

  test('a claim the client may not have is nothing to ask a member for', async () => {
    const [party, member] = [
      await givenParty(server, { metadata: { allowed_claims: ['email'] } }),
      await givenMember(server),
    ]
    const { browser } = await givenAllowed(party, member)
    const { page } = await ask(party, browser, { claims: claims(['name']), prompt: 'none' })
    expect(page.url.searchParams.has('code')).toBe(true)
  })
})

describe('the scopes of an API', () => {
  const resource = 'https://points.example.com/'
  beforeAll(async () => {
    const now = server.now()
    await server.db.resource.create({
      data: {
        id: resource,
        name: { ja: 'ポイント', en: 'Points' },
        scopes: ['points:read', 'points:spend'],
        createdAt: now,
        updatedAt: now,
      },
    })
  })

  test.each([
    ['en', 'Use of “Points”', 'Information to share'],
    ['ja', '「ポイント」の利用', '渡す情報'],
  ])('are asked for under its name, in %s', async (language, expected, heading) => {
    const party = await givenParty(server, { resources: [{ id: resource }] })
    const parameters = { scope: 'openid points:read', resource }
    const { page } = await ask(party, openBrowser(language), parameters, await givenMember(server))
    expect(section(page, heading)).toContain(expected)
    expect(section(page, heading)).toContain('points:read')
  })

  test('are granted, remembered, and asked for one by one', async () => {
    const [party, member] = [
      await givenParty(server, { resources: [{ id: resource }] }),
      await givenMember(server),
    ]
    const { browser } = await givenAllowed(party, member, { scope: 'openid points:read', resource })
    const read = await ask(party, browser, { scope: 'openid points:read', resource, prompt: 'none' })
    expect(read.page.url.searchParams.has('code')).toBe(true)
    const both = 'openid points:read points:spend'
    const { page } = await ask(party, browser, { scope: both, resource })
    expect(section(page, 'New information to share')).toMatch(/points:spend$/)
    expect(section(page, 'New information to share')).not.toContain('points:read')
    expect(section(page, 'Already allowed')).toContain('Use of “Points”')
  })

  test('are given to a first-party client without a question, like everything else', async () => {
    const party = await givenParty(server, { firstParty: true, resources: [{ id: resource }] })
    const parameters = { scope: 'openid email points:read', resource, claims: claims(['birthdate']) }
    const { page } = await ask(party, openBrowser(), parameters, await givenMember(server))
    expect(page.url.searchParams.has('code')).toBe(true)
  })
})

describe('linked accounts', () => {
  const scope = 'openid linked_accounts'
  async function givenTwoLinks(input: ClientInput = {}) {
    const [line, ec] = [await givenConnection(server), await givenConnection(server)]
    const member = await givenMember(server)
    for (const { id } of [line, ec]) await givenIdentity(server, { memberId: member.id, connectionId: id })
    const party = await givenParty(server, { connections: [line.id], ...input })
    return { line, ec, member, party }
  }
  const allow = (clientId: string, connectionId: string) =>
    server.db.clientConnection.create({ data: { clientId, connectionId } })
  const disclosed = async (party: RelyingParty, accessToken: string, memberId: string) => {
    const { linked_accounts } = await oidc.fetchUserInfo(party.config, accessToken, memberId)
    const links = (linked_accounts ?? []) as unknown as { connection: string }[]
    return links.map(({ connection }) => connection)
  }
  /** Clients are remembered for a moment. */
  const aMomentLater = () => server.advance(2)

  test('of a connection the client was allowed later are not disclosed before the member agreed', async () => {
    const { line, ec, member, party } = await givenTwoLinks()
    const { browser, tokens } = await givenAllowed(party, member, { scope })
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([line.id])
    await allow(party.id, ec.id)
    aMomentLater()
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([line.id])
    const { url } = (await ask(party, browser, { scope, prompt: 'none' })).page
    expect(url.searchParams.get('error')).toBe('consent_required')
  })

  test('of a connection the client was allowed later are asked for, and that one alone is new', async () => {
    const { line, ec, member, party } = await givenTwoLinks()
    const { browser } = await givenAllowed(party, member, { scope })
    await allow(party.id, ec.id)
    aMomentLater()
    const { page, attempt } = await ask(party, browser, { scope })
    expect(section(page, 'New information to share')).toContain(ec.name.en)
    expect(section(page, 'New information to share')).not.toContain(line.name.en)
    expect(section(page, 'Already allowed')).toContain(`Linked accounts (${line.name.en})`)
    const tokens = await redeem(party, (await browser.submit(page, '/consent')).url, attempt)
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([line.id, ec.id])
  })

  test('of a connection are not named to who did not ask for linked accounts', async () => {
    const { ec, member, party } = await givenTwoLinks()
    const { browser } = await givenAllowed(party, member)
    await allow(party.id, ec.id)
    aMomentLater()
    const { page } = await ask(party, browser, { prompt: 'none' })
    expect(page.url.searchParams.has('code')).toBe(true)
  })

  test('can be asked for by claim, with the same consent', async () => {
    const { line, member, party } = await givenTwoLinks()
    const parameters = { claims: claims(['linked_accounts']) }
    const { page } = await ask(party, openBrowser(), parameters, member)
    expect(section(page, 'Information to share')).toContain(line.name.en)
    const { tokens } = await givenAllowed(party, member, parameters)
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([line.id])
  })

  test('of a disabled connection are neither asked for nor disclosed', async () => {
    const { line, ec, member, party } = await givenTwoLinks()
    await allow(party.id, ec.id)
    await inTransaction(server.db, (tx) => disableConnection(tx, ec.id, server.now()))
    aMomentLater()
    const { page } = await ask(party, openBrowser(), { scope }, member)
    expect(section(page, 'Information to share')).toContain(line.name.en)
    expect(section(page, 'Information to share')).not.toContain(ec.name.en)
    const { tokens } = await givenAllowed(party, member, { scope })
    await inTransaction(server.db, (tx) => disableConnection(tx, line.id, server.now()))
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([])
  })

  test('a first-party client sees all that it is allowed', async () => {
    const { line, ec, member, party } = await givenTwoLinks({ firstParty: true })
    const { tokens } = await givenAllowed(party, member, { scope })
    await allow(party.id, ec.id)
    aMomentLater()
    expect(await disclosed(party, tokens.access_token, member.id)).toEqual([line.id, ec.id])
  })
})

describe('RFC 8252 section 8.6: a native client', () => {
  const native = (redirectUri: string, input: ClientInput = {}) =>
    givenParty(server, { profile: 'native', redirectUris: [redirectUri], ...input })

  test.each([
    ['of ours', true],
    ['of others', false],
  ])('%s is never let through unasked at an address any application can take', async (_, firstParty) => {
    const [party, member] = [
      await native('com.example.app:/callback', { firstParty }),
      await givenMember(server),
    ]
    const { browser } = await givenAllowed(party, member)
    const { page } = await ask(party, browser)
    expect(page.url.pathname).toMatch(/consent$/)
    const silent = await ask(party, browser, { prompt: 'none' })
    expect(silent.page.url.searchParams.get('error')).toBe('interaction_required')
  })

  test('is let through at a claimed https address, as any other', async () => {
    const party = await native('https://app.example.com/callback', { firstParty: true })
    const { browser } = await givenAllowed(party, await givenMember(server))
    expect((await ask(party, browser, { prompt: 'none' })).page.url.searchParams.has('code')).toBe(true)
  })
})

describe('the decision that a client needs no consent', () => {
  test.each([true, false])('is in the audit trail: firstParty %s', async (firstParty) => {
    const { id } = await givenClient(server, { firstParty })
    await server.app.dispatcher.drain()
    const entry = await server.db.auditEntry.findFirstOrThrow({
      where: { type: 'client.created', data: { path: ['clientId'], equals: id } },
    })
    expect(entry.data).toEqual({ clientId: id, firstParty, profile: 'web' })
  })
})
