import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { disableClient } from '../../src/oidc/clients/client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { ask, claims, everything, givenAllowed, givenParty, section } from '../support/consent.ts'
import { givenMember } from '../support/given.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

describe('declining', () => {
  test('gives the relying party access_denied and nothing else, and is not remembered', async () => {
    const [party, member, browser] = [await givenParty(server), await givenMember(server), openBrowser()]
    const { page } = await ask(party, browser, { scope: 'openid email' }, member)
    const { url } = await browser.submit(page, '/cancel')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({ error: 'access_denied' })
    expect(url.searchParams.has('code')).toBe(false)
    expect(await server.db.grant.count({ where: { memberId: member.id } })).toBe(0)
    expect((await ask(party, browser, { scope: 'openid email' })).page.url.pathname).toMatch(/consent$/)
  })

  test('more leaves what was allowed before as it was', async () => {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser } = await givenAllowed(party, member, { scope: 'openid email' })
    const { page } = await ask(party, browser, { scope: 'openid email profile' })
    await browser.submit(page, '/cancel')
    const { url } = (await ask(party, browser, { scope: 'openid email', prompt: 'none' })).page
    expect(url.searchParams.has('code')).toBe(true)
  })
})

describe('an agreement that came too late', () => {
  test('a client that was disabled meanwhile gets nothing', async () => {
    const [party, member, browser] = [await givenParty(server), await givenMember(server), openBrowser()]
    const { page } = await ask(party, browser, {}, member)
    await inTransaction(server.db, (tx) => disableClient(tx, party.id, server.now()))
    expect((await browser.submit(page, '/consent')).status).toBe(400)
    expect(await server.db.grant.count({ where: { memberId: member.id } })).toBe(0)
  })

  test('a member who was suspended meanwhile gives nothing', async () => {
    const [party, member, browser] = [await givenParty(server), await givenMember(server), openBrowser()]
    const { page } = await ask(party, browser, {}, member)
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    expect((await browser.submit(page, '/consent')).status).toBe(403)
    expect(await server.db.grant.count({ where: { memberId: member.id } })).toBe(0)
  })

  /** A browser with the page that asks for more, and the grant that more would be added to. */
  async function givenPageForMore() {
    const [party, member] = [await givenParty(server), await givenMember(server)]
    const { browser, tokens } = await givenAllowed(party, member, { scope: 'openid email' })
    const { page } = await ask(party, browser, { scope: 'openid email profile' })
    const { id } = await server.db.grant.findFirstOrThrow({ where: { memberId: member.id } })
    // The engine tells a new grant from an old one by whole seconds.
    await server.db.$executeRaw`
      UPDATE "Grant" SET "payload" = jsonb_set("payload", '{iat}', to_jsonb(("payload"->>'iat')::int - 60))
      WHERE "id" = ${id}`
    const isDead = () =>
      expect(oidc.fetchUserInfo(party.config, tokens.access_token, member.id)).rejects.toThrow()
    return { browser, page, id, isDead }
  }

  test('what was revoked meanwhile is asked for again, under a grant of its own', async () => {
    const { browser, page, id, isDead } = await givenPageForMore()
    await server.db.grant.delete({ where: { id } })
    server.advance(2)
    const next = await browser.submit(page, '/consent')
    expect(section(next, 'New information to share')).toContain('Email address')
    expect(await server.db.grant.count({ where: { id } })).toBe(0)
    await isDead()
  })

  test('what is revoked in the same moment is not brought back to life, with its tokens', async () => {
    const { browser, page, id, isDead } = await givenPageForMore()
    const submitted = await server.db.$transaction(async (tx) => {
      await tx.grant.delete({ where: { id } })
      const answer = browser.submit(page, '/consent')
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1n))
      return { answer }
    })
    expect((await submitted.answer).status).toBe(400)
    expect(await server.db.grant.count({ where: { id } })).toBe(0)
    server.advance(2)
    await isDead()
  })

  async function waitingForLocks(): Promise<bigint | undefined> {
    const [row] = await server.db.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`
    return row?.count
  }
})

describe('the page says', () => {
  test.each([
    [
      'en',
      false,
      [
        'Share information with',
        'store.example.com',
        'External service',
        'Privacy policy',
        'Terms of service',
      ],
    ],
    [
      'ja',
      true,
      ['情報を渡しますか', 'store.example.com', '公式サービス', 'プライバシーポリシー', '利用規約'],
    ],
  ])('who asks and where to read more, in %s', async (language, firstParty, expected) => {
    const party = await givenParty(server, {
      name: { ja: '公式ストア', en: 'Official store' },
      firstParty,
      clientUri: 'https://store.example.com/about',
      logoUri: 'https://cdn.example.com/logo.png?v=2',
      policyUri: 'https://store.example.com/policy',
      tosUri: 'https://store.example.com/terms',
    })
    const browser = openBrowser(language)
    const { page } = await ask(party, browser, { prompt: 'consent' }, await givenMember(server))
    expect(page.url.pathname).toMatch(/consent$/)
    const name = language === 'ja' ? '公式ストア' : 'Official store'
    for (const text of [name, ...expected]) expect(page.html).toContain(text)
    expect(page.html).toContain('src="https://cdn.example.com/logo.png?v=2"')
    expect(page.headers.get('content-security-policy')).toContain('img-src https://cdn.example.com/logo.png ')
    for (const path of ['policy', 'terms', 'about'])
      expect(page.html).toContain(`href="https://store.example.com/${path}"`)
  })

  test.each([
    ['en', ['Profile', 'Email address', 'Phone number', 'Address', 'Linked accounts', 'Continued use']],
    ['ja', ['プロフィール', 'メールアドレス', '電話番号', '住所', '連携しているアカウント', '継続した利用']],
  ])('what each scope means, in %s', async (language, expected) => {
    const scope = `${everything} offline_access`
    const browser = openBrowser(language)
    const { page } = await ask(await givenParty(server), browser, { scope }, await givenMember(server))
    const heading = language === 'ja' ? '渡す情報' : 'Information to share'
    for (const text of expected) expect(section(page, heading)).toContain(text)
    expect(section(page, heading)).not.toMatch(/_/)
  })

  test.each([
    ['en', ['Single items', 'Family name', 'Date of birth', 'Whether the phone number is verified']],
    ['ja', ['個別に求められている項目', '姓', '生年月日', '電話番号が確認済みかどうか']],
  ])('what a claim that is asked for by its name means, in %s', async (language, expected) => {
    const parameters = { claims: claims(['family_name', 'birthdate', 'phone_number_verified', 'made_up']) }
    const browser = openBrowser(language)
    const { page } = await ask(await givenParty(server), browser, parameters, await givenMember(server))
    const heading = language === 'ja' ? '渡す情報' : 'Information to share'
    for (const text of expected) expect(section(page, heading)).toContain(text)
    expect(page.html).not.toContain('made_up')
  })

  test('nothing twice: a claim of a scope on the same page is not named besides', async () => {
    const parameters = { scope: 'openid profile', claims: claims(['family_name', 'email']) }
    const { page } = await ask(await givenParty(server), openBrowser(), parameters, await givenMember(server))
    expect(section(page, 'Information to share')).toMatch(/Single items it asks for Email address$/)
  })
})
