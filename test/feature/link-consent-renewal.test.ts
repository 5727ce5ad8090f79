import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchUserInfo } from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { requireRenewals } from '../../src/linking/consent/renewal.ts'
import { publishTerms } from '../../src/linking/consent/terms.ts'
import { inTransaction } from '../../src/store/db.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { ask, givenParty } from '../support/consent.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { changesOf, linkThrough, pressLink, signInTo, visitor } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import { redeem } from '../support/relying-party.ts'
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
let connectionId: string
let member: GivenMember
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana at the shop' }
  connectionId = (await givenConnection(server)).id
  member = await givenMember(server)
})

const day = 86_400

function publish(
  version: string,
  {
    id = connectionId,
    consentDays,
    asksAnew = true,
    inSeconds = 0,
  }: {
    id?: string
    consentDays?: number
    asksAnew?: boolean
    inSeconds?: number
  } = {},
) {
  const text = { ja: `規約 ${version}\n\n第二段落`, en: `Terms ${version}\n\nSecond paragraph` }
  const publishedAt = new Date(server.now().getTime() + inSeconds * 1000)
  const terms = { connectionId: id, version, text, consentDays, asksAnew, publishedAt }
  return inTransaction(server.db, (tx) => publishTerms(tx, terms, server.now()))
}

const agreementsOf = (memberId: string) =>
  server.db.linkConsent.findMany({ where: { memberId }, orderBy: { agreedAt: 'asc' } })

/** What a look at everything asked this member for. */
async function askedFor(memberId: string): Promise<unknown[]> {
  const { events } = await changesOf(server, () => requireRenewals(server.db, server.now()))
  return events.filter((event) => event.memberId === memberId).map(({ data }) => data)
}

describe('an agreement is not asked for again', () => {
  test('while nothing changed, nor for what changed before it', async () => {
    await publish('1')
    await givenIdentity(server, { memberId: member.id, connectionId })
    expect(await askedFor(member.id)).toEqual([])
  })

  test('for terms that say so, or that are not in force yet', async () => {
    await givenIdentity(server, { memberId: member.id, connectionId })
    server.advance(1)
    await publish('1a', { asksAnew: false })
    await publish('2', { inSeconds: day })
    expect(await askedFor(member.id)).toEqual([])
  })

  test('for terms of another connection, nor after the account was unlinked', async () => {
    await givenIdentity(server, { memberId: member.id, connectionId })
    server.advance(1)
    await publish('9', { id: (await givenConnection(server)).id })
    expect(await askedFor(member.id)).toEqual([])
    await publish('2')
    await server.db.linkConsent.updateMany({
      where: { memberId: member.id },
      data: { endedAt: server.now() },
    })
    expect(await askedFor(member.id)).toEqual([])
  })

  test('for a relying party that asks the member itself', async () => {
    await givenIdentity(server, { memberId: member.id, connectionId })
    await givenClient(server, { connections: [connectionId] })
    expect(await askedFor(member.id)).toEqual([])
  })
})

describe('an agreement is asked for again, once, and the member is told', () => {
  test.each<[string, string, () => Promise<unknown>]>([
    ['when terms came into force that ask anew', 'terms_changed', () => publish('2')],
    [
      'when terms that were announced come into force',
      'terms_changed',
      async () => {
        await publish('2', { inSeconds: 60 })
        server.advance(61)
      },
    ],
    [
      'when a relying party that asks nobody may see the link',
      'data_changed',
      () => givenClient(server, { connections: [connectionId], firstParty: true }),
    ],
    [
      'when the upstream tells more than it did',
      'data_changed',
      () =>
        server.db.federatedIdentity.updateMany({
          where: { memberId: member.id },
          data: { profile: { name: 'Hanako upstream', email: 'hanako@upstream.example' } },
        }),
    ],
  ])('%s', async (_, reason, change) => {
    const identity = await givenIdentity(server, { memberId: member.id, connectionId })
    server.advance(1)
    await change()
    const [agreement] = await agreementsOf(member.id)
    const data = { connectionId, identityId: identity.id, consentId: agreement?.id, reason }
    expect(await askedFor(member.id)).toEqual([data])
    expect(await askedFor(member.id)).toEqual([])
    expect((await mailTo(server, member.email, /Please confirm a linked account/)).text).toContain(
      `${server.issuer}/account/consents`,
    )
  })

  test('of thousands that run out at once each is asked for once, whatever the number of processes', async () => {
    const { id } = await givenConnection(server)
    await publish('1', { id, consentDays: 1 })
    const members = await server.db.member.createManyAndReturn({
      data: Array.from({ length: 1100 }, () => ({
        ...{ name: 'One of many', createdAt: server.now(), updatedAt: server.now() },
        sessionsValidFrom: server.now(),
      })),
    })
    const common = { connectionId: id, issuer: 'https://many.example.com' }
    await server.db.federatedIdentity.createMany({
      data: members.map(({ id: memberId }) => ({
        ...{ ...common, memberId, subject: memberId, profile: {}, linkedAt: server.now() },
      })),
    })
    await server.db.linkConsent.createMany({
      data: members.map(({ id: memberId }) => ({
        ...{ ...common, memberId, subject: memberId, termsVersion: '1', locale: 'ja' },
        ...{ shown: { received: ['subject'] }, agreedAt: server.now(), expiresAt: server.now() },
      })),
    })
    const marked = await Promise.all(
      Array.from({ length: 4 }, () => requireRenewals(server.db, server.now())),
    )
    expect(marked.reduce((sum, one) => sum + one)).toBe(1100)
    const told = await server.db.event.groupBy({
      by: ['memberId'],
      where: { type: 'link.reconsent_required', memberId: { in: members.map((one) => one.id) } },
      _count: true,
    })
    expect(told).toHaveLength(1100)
    expect(told.every(({ _count }) => _count === 1)).toBe(true)
  })
})

describe('at the page', () => {
  /** A member with a linked account whose agreement has to be given anew, signed in. */
  async function givenRenewal(locale = 'en') {
    await publish(`first-${count}`, { id: 'upstream' })
    const browser = await signInTo(server, member, visitor(locale))
    await linkThrough(server, browser, 'upstream')
    server.advance(1)
    await publish(`v${count}`, { id: 'upstream' })
    await requireRenewals(server.db, server.now())
    const account = await browser.open(`${server.issuer}/account`)
    const [path = ''] = /\/account\/consents\/[\w-]+\/renew/.exec(account.html) ?? []
    expect(path).not.toBe('')
    return { browser, path, page: await browser.open(`${server.issuer}${path}`) }
  }

  test('the terms are on the page that asks before a link, and in the evidence, in the language of the page', async () => {
    await publish(`v${count}`, { id: 'upstream', consentDays: 30 })
    const browser = await signInTo(server, member, visitor('ja'))
    const page = await pressLink(server, browser, 'upstream')
    expect(page.html).toContain(`規約 v${count}`)
    expect(page.html).toContain('30日間')
    await browser.submit(page, '/agree')
    const [agreement] = await agreementsOf(member.id)
    expect(agreement).toMatchObject({
      termsVersion: `v${count}`,
      locale: 'ja',
      way: 'account_page',
      shown: { terms: `規約 v${count}\n\n第二段落`, consentDays: 30 },
      place: { source: expect.stringMatching(/^198\.18\./) },
    })
    expect(agreement?.expiresAt?.getTime()).toBe((agreement?.agreedAt.getTime() ?? 0) + 30 * day * 1000)
  })

  test('agreeing anew is evidence of its own, and the one before it ends', async () => {
    const { browser, page } = await givenRenewal()
    expect(page.html).toContain('The terms of linking have changed.')
    expect(page.html).toContain(`Terms v${count}`)
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/renew'))
    expect(result.html).toContain('Your agreement is recorded.')
    expect(changes.rows).toEqual({ LinkConsent: '+1 ~1' })
    const [before, now] = await agreementsOf(member.id)
    expect(before?.endedAt).not.toBeNull()
    expect(now).toMatchObject({ termsVersion: `v${count}`, endedAt: null, reconsentSince: null })
    const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
    const data = { connectionId: 'upstream', identityId: identity.id, consentId: now?.id }
    expect(changes.events).toEqual([{ type: 'link.reconsented', memberId: member.id, data }])
    expect((await browser.open(`${server.issuer}/account`)).html).not.toContain('needs to be confirmed')
  })

  describe('at the next sign-in', () => {
    async function signInAgain() {
      const { browser: known } = await givenRenewal()
      const party = await givenParty(server, { firstParty: true })
      const browser = visitor()
      const { page } = await ask(party, browser, {}, member)
      return { known, browser, page, party }
    }

    test('it comes before the relying party', async () => {
      const { browser, page } = await signInAgain()
      expect(page.url.pathname).toMatch(/^\/interaction\/[\w-]+\/renew-consent$/)
      const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/renew'))
      expect(result.url.searchParams.get('code')).toBeTruthy()
      expect(changes.rows.LinkConsent).toBe('+1 ~1')
    })

    test('it can be put off, and is asked for again the time after', async () => {
      const { browser, page, party } = await signInAgain()
      const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/put-off-renewal'))
      expect(result.url.searchParams.get('code')).toBeTruthy()
      expect(changes.rows.LinkConsent).toBeUndefined()
      const { page: later } = await ask(party, visitor(), {}, member)
      expect(later.url.pathname).toMatch(/\/renew-consent$/)
    })

    test('what has been renewed elsewhere meanwhile holds nobody up', async () => {
      const { known, browser, page } = await signInAgain()
      const account = await known.open(`${server.issuer}/account`)
      const [path = ''] = /\/account\/consents\/[\w-]+\/renew/.exec(account.html) ?? []
      await known.submit(await known.open(`${server.issuer}${path}`), '/renew')
      const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/renew'))
      expect(result.url.searchParams.get('code')).toBeTruthy()
      expect(changes.rows.LinkConsent).toBeUndefined()
    })
  })

  test('what changed while it was open is shown before it is agreed to', async () => {
    const { browser, page } = await givenRenewal()
    server.advance(1)
    await publish(`v${count}b`, { id: 'upstream' })
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/renew'))
    expect(result.html).toContain(`Terms v${count}b`)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('a double click and a second tab agree once', async () => {
    const { browser, page, path } = await givenRenewal()
    const tab = await browser.open(`${server.issuer}${path}`)
    const changes = await changesOf(server, () =>
      Promise.all([
        browser.submit(page, '/renew'),
        browser.submit(tab, '/renew'),
        browser.submit(page, '/renew'),
      ]),
    )
    expect(changes.rows).toEqual({ LinkConsent: '+1 ~1' })
    expect(changes.result.map(({ url }) => url.pathname)).toEqual(Array(3).fill('/account/consents'))
  })

  test('there is nothing to agree to once the account is unlinked', async () => {
    const { browser, page } = await givenRenewal()
    const unlink = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
    await browser.submit(unlink, '/unlink')
    const { result, ...changes } = await changesOf(server, () => browser.submit(page, '/renew'))
    expect(result.url.pathname).toBe('/account/consents')
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test("another member's agreements are not found", async () => {
    const { path } = await givenRenewal()
    const stranger = await signInTo(server, await givenMember(server))
    const one = path.replace('/renew', '')
    for (const address of [path, one, '/account/consents/not-an-id', `${one}x`])
      expect((await stranger.open(`${server.issuer}${address}`)).status).toBe(404)
  })

  test('every agreement can be read as it was shown, in the language it was shown in', async () => {
    const { browser, page, path } = await givenRenewal('ja')
    await browser.submit(page, '/renew')
    const list = await browser.open(`${server.issuer}/account/consents`)
    expect(list.html.match(/class="tile"/g)).toHaveLength(2)
    const old = await browser.open(`${server.issuer}${path.replace('/renew', '')}`)
    for (const text of ['終了', 'Hana at the shop', '通販', '198.18.', 'マイページ', '日本語'])
      expect(old.html).toContain(text)
    expect(old.html).not.toContain(`v${count}`)
  })
})

test('what was agreed to for a time is told to relying parties for that time, and again once it is renewed', async () => {
  await publish('1', { consentDays: 30 })
  await givenIdentity(server, { memberId: member.id, connectionId })
  const party = await givenParty(server, { connections: [connectionId], firstParty: true })
  const linkedAccounts = async (form = '/put-off-renewal') => {
    const browser = visitor()
    const { page, attempt } = await ask(party, browser, { scope: 'openid linked_accounts' }, member)
    const answer = page.status === 0 ? page : await browser.submit(page, form)
    const { access_token: token } = await redeem(party, answer.url, attempt)
    const claims = await fetchUserInfo(party.config, token, member.id)
    return (claims.linked_accounts as unknown[] | undefined)?.length ?? 0
  }
  expect(await linkedAccounts()).toBe(1)
  server.advance(30 * day)
  expect(await linkedAccounts()).toBe(0)
  expect(await linkedAccounts('/renew')).toBe(1)
  expect(await linkedAccounts()).toBe(1)
})

describe('hitotsu consents', () => {
  const run = (...args: string[]) => hitotsu(args, environmentOf(server))

  test('export writes one line for each agreement, oldest first, as it was shown', async () => {
    const first = await givenIdentity(server, { memberId: member.id, connectionId })
    const other = await givenMember(server)
    server.advance(60)
    const from = server.now().toISOString()
    await givenIdentity(server, { memberId: other.id, connectionId })
    const all = await run('consents', 'export', '--connection', connectionId)
    const lines = all.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ memberId }) => memberId)).toEqual([member.id, other.id])
    expect(lines[0]).toMatchObject({
      ...{ connectionId, subject: first.subject, termsVersion: '2026-01', locale: 'en', state: 'given' },
      shown: { account: 'Hanako upstream', received: ['subject', 'name'] },
    })
    const late = await run('consents', 'export', '--connection', connectionId, '--from', from)
    expect(late.stdout.trim().split('\n')).toHaveLength(1)
    const one = await run('consents', 'export', '--member', member.id)
    expect(one.stdout.trim().split('\n')).toHaveLength(1)
    expect((await run('consents', 'export', '--from', 'yesterday')).status).toBe(2)
  })

  test('publish-terms puts terms in force once, asks those again who agreed before, and says how many', async () => {
    await givenIdentity(server, { memberId: member.id, connectionId })
    server.advance(1)
    const folder = await mkdtemp(join(tmpdir(), 'hitotsu-terms-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const [ja, en] = [join(folder, 'ja.txt'), join(folder, 'en.txt')]
    await Promise.all([writeFile(ja, '規約'), writeFile(en, 'Terms')])
    const args = ['consents', 'publish-terms', connectionId, '--version', '2', '--consent-days', '365']
    const files = ['--text-ja-file', ja, '--text-en-file', en]
    // The command's clock is the system's, and the server's is ahead.
    const published = await run(...args, ...files, '--from', server.now().toISOString(), '--json')
    expect(published).toMatchObject({ status: 0, stderr: '' })
    expect(await askedFor(member.id)).toMatchObject([{ reason: 'terms_changed' }])
    expect(await run(...args, ...files)).toMatchObject({
      status: 1,
      stderr: `error: ${connectionId} has terms 2 already\n`,
    })
    expect((await run('consents', 'publish-terms', 'nowhere', '--version', '2', ...files)).stderr).toBe(
      'error: there is no connection nowhere\n',
    )
    const faulty = await run(
      'consents',
      'publish-terms',
      connectionId,
      '--version',
      'a b',
      ...files,
      '--consent-days',
      '0',
    )
    expect(faulty.status).toBe(2)
    expect(faulty.stderr.trim().split('\n')).toHaveLength(2)
  })
})
