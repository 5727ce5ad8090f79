import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { givenClient, givenMember } from '../support/given.ts'
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
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
beforeEach(() => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop', email: `hana-${count}@shop.example` }
  upstream.behavior.decline = false
})

const linkPage = /^\/link\/[\w-]+$/

describe('nothing is linked', () => {
  test('before the member has agreed', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(result.url.pathname).toMatch(linkPage)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('when the member declines on our page, which is recorded', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const page = await pressLink(server, browser, 'upstream')
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/decline'))
    expect(result.html).toContain('You did not link Web Shop.')
    const data = { connectionId: 'upstream', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.declined', memberId: member.id, data }] })
    const late = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(late).toMatchObject({ rows: {}, events: [] })
  })

  test('when the member declines at the upstream, which is recorded', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    upstream.behavior.decline = true
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(result.html).toContain('You did not link Web Shop.')
    const data = { connectionId: 'upstream', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.declined', memberId: member.id, data }] })
  })

  test('while the sign-in is older than the limit: it is asked for again first', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    server.advance(601)
    const asked = await changesOf(server, () => pressLink(server, browser, 'upstream'))
    expect(asked.result.html).toContain('Confirm it is you')
    expect(asked).toMatchObject({ rows: {}, events: [] })
    const page = await browser.submit(asked.result, '/sign-in', { password: member.password })
    expect(page.url.pathname).toMatch(linkPage)
  })

  test.each([
    ['another relying party will see the link', () => givenSharing()],
    ['a relying party no longer will', () => server.db.clientConnection.deleteMany({})],
    [
      'the connection has another name',
      () =>
        server.db.connection.update({
          where: { id: 'upstream' },
          data: { name: { ja: '通販', en: `Web Shop ${count}` } },
        }),
    ],
  ])('when %s than the page said: the page comes again', async (_, change) => {
    await givenSharing()
    const browser = await signInTo(server, await givenMember(server))
    const page = await pressLink(server, browser, 'upstream')
    await change()
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.status).toBe(200)
    expect(result.html).toContain('/agree"')
    expect(changes).toEqual({ rows: {}, events: [] })
    const agreed = await changesOf(server, () => browser.submit(result, '/agree'))
    expect(agreed.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
  })

  test('when the language changed between page and agreement: the page comes again in the other', async () => {
    const browser = await signInTo(server, await givenMember(server))
    const page = await pressLink(server, browser, 'upstream')
    await browser.submit(page, '/locale')
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.html).toContain('<html lang="ja">')
    expect(changes).toEqual({ rows: {}, events: [] })
  })
})

async function givenSharing(): Promise<string> {
  const { id } = await givenClient(server, { name: { ja: `予約 ${++count}`, en: `Booking ${count}` } })
  await server.db.clientConnection.create({ data: { clientId: id, connectionId: 'upstream' } })
  return id
}

test.each([
  ['en', 'Hana at the shop', ['ID of the account', 'Display name', 'Email address']],
  ['ja', 'Hana at the shop', []],
] as const)('what the page in %s showed is what is kept as evidence', async (locale, account, claims) => {
  await server.db.clientConnection.deleteMany({})
  const sharedWith = [await givenSharing(), await givenSharing()]
  const hidden = await givenSharing()
  await server.db.client.update({ where: { id: hidden }, data: { disabledAt: server.now() } })
  const member = await givenMember(server, { locale })
  const browser = await signInTo(server, member, visitor(locale))
  const page = await pressLink(server, browser, 'upstream')
  const changes = await changesOf(server, () => browser.submit(page, '/agree'))

  expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
  const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  expect(changes.events).toEqual([
    {
      type: 'identity.linked',
      memberId: member.id,
      data: {
        connectionId: 'upstream',
        way: 'account_page',
        identityId: identity.id,
        consentId: consent.id,
        purpose: 'link',
      },
    },
  ])
  expect(consent).toMatchObject({
    connectionId: 'upstream',
    issuer: upstream.issuer,
    subject: upstream.behavior.subject,
    termsVersion: '2026-04',
    locale,
    endedAt: null,
  })
  expect(consent.shown).toEqual({
    connection: expect.any(String),
    account,
    received: ['subject', 'name', 'email'],
    shared: [count - 2, count - 1].map((n) => (locale === 'ja' ? `予約 ${n}` : `Booking ${n}`)),
    sharedWith,
    termsVersion: '2026-04',
    locale,
  })
  const { connection, shared } = consent.shown as { connection: string; shared: string[] }
  for (const text of [connection, account, ...shared, '2026-04', ...claims]) expect(page.html).toContain(text)
  expect(page.html).not.toContain(`Booking ${count}`)
})

test('only what the upstream told is said to be received', async () => {
  upstream.behavior.claims = {}
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  await linkThrough(server, browser, 'upstream')
  const { shown } = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  expect(shown).toMatchObject({ account: null, received: ['subject'] })
})

test('what the upstream calls the account is shown as text', async () => {
  upstream.behavior.claims = { name: '<img src=x onerror=alert(1)>"\u202e' }
  const browser = await signInTo(server, await givenMember(server))
  const page = await pressLink(server, browser, 'upstream')
  expect(page.html).toContain('&lt;img src=x onerror=alert(1)&gt;')
  expect(page.html).not.toMatch(/<img|\u202e/)
})

test('the token of the upstream is nowhere in the database or the log, only sealed', async () => {
  const answers: Record<string, unknown>[] = []
  upstream.behavior.wrong = { json: { '/token': (body) => ({ ...body, ...keep(answers, body) }) } }
  const member = await givenMember(server)
  await linkThrough(server, await signInTo(server, member), 'upstream')
  upstream.behavior.wrong = {}

  const [answer] = answers
  const secrets = [answer?.access_token, answer?.refresh_token, answer?.id_token].map(String)
  expect(decodeJwt(secrets[2] ?? '').sub).toBe(upstream.behavior.subject)
  const text = await wholeDatabase()
  for (const secret of secrets) {
    expect(text).not.toContain(secret)
    expect(text).not.toContain(Buffer.from(secret).toString('base64').slice(0, 40))
    expect(server.logged()).not.toContain(secret)
  }
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  const { sealed } = await server.db.upstreamToken.findUniqueOrThrow({ where: { id: identity.id } })
  const opened = JSON.parse(server.sealer.open(sealed, `upstream tokens ${identity.id}`))
  expect(opened).toEqual({
    accessToken: secrets[0],
    refreshToken: secrets[1],
    expiresAt: expect.any(Number),
  })
  expect(() => server.sealer.open(sealed, `upstream tokens ${member.id}`)).toThrow()
})

function keep(answers: Record<string, unknown>[], body: Record<string, unknown>) {
  const tokens = { ...body, refresh_token: `refresh token of ${body.access_token}` }
  answers.push(tokens)
  return tokens
}

async function wholeDatabase(): Promise<string> {
  const tables = await server.db.$queryRaw<{ name: string }[]>`
    SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'`
  expect(tables.length).toBeGreaterThan(10)
  const texts = await Promise.all(
    tables.map(({ name }) => server.db.$queryRawUnsafe(`SELECT t::text AS row FROM ${name} t`)),
  )
  return JSON.stringify(texts)
}

test.each([
  ['en', 'linked', /Web Shop/],
  ['ja', '連携', /通販/],
])('the member is told of the link by mail in their own language, %s', async (locale, words, name) => {
  await server.db.connection.update({
    where: { id: 'upstream' },
    data: { name: { ja: '通販', en: 'Web Shop' } },
  })
  const member = await givenMember(server, { locale })
  await linkThrough(
    server,
    await signInTo(server, member, visitor(locale === 'en' ? 'ja' : 'en')),
    'upstream',
  )
  const mail = await mailTo(server, member.email, name)
  expect(mail.subject + mail.text).toContain(words)
  expect(mail.text).toContain('Hana at the shop')
  expect(mail.text).toContain(`${server.issuer}/account`)
})
