import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection, enableConnection } from '../../src/connections/connection.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import { sign } from '../../src/demo/line/webhooks.ts'
import { suspendMember } from '../../src/members/suspension.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { botChannelOf } from '../support/line-simulator.ts'
import {
  accountLinkEvent,
  agreeToLink,
  askForLink,
  confirmAtLine,
  deliver,
  givenLineUser,
  givenOfficialAccount,
  heard,
  type LineUser,
  settle,
  webhookOf,
} from '../support/line-talk.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { givenLine, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  await givenOfficialAccount(server, line)
})
afterAll(async () => {
  await Promise.all([server.close(), line.close()])
})

let user: LineUser
beforeEach(() => {
  user = givenLineUser(line)
})

/** A member who has agreed to link what the talk of `who` has sent; LINE is asked next. */
async function agreed(who = user) {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  return { member, browser, ...(await agreeToLink(line, browser, await askForLink(server, line, who))) }
}

const links = () => server.db.federatedIdentity.count()
const nothing = { rows: {}, events: [] }

/** Everything that came of a webhook. */
const changesAfter = (webhook: { body: string; signature: string }) =>
  changesOf(server, async () => (await deliver(server, webhook)).status)

describe('a webhook is refused, and nothing is kept of it,', () => {
  test.each<[string, (sent: { body: string; signature: string }) => { body: string; signature: string }]>([
    ['unsigned', ({ body }) => ({ body, signature: '' })],
    [
      'with the signature of another body',
      ({ body }) => ({ body, signature: webhookOf(line, []).signature }),
    ],
    ['altered on the way', ({ body, signature }) => ({ body: body.replace('ok', 'ok '), signature })],
  ])('%s', async (_, change) => {
    const { dialog } = await agreed()
    const { result, ...changes } = await changesAfter(
      change(webhookOf(line, [accountLinkEvent(user, dialog)])),
    )
    expect(result).toBe(403)
    expect(changes).toEqual(nothing)
  })

  test('signed with the secret of the Login channel, or of nobody', async () => {
    const { dialog } = await agreed()
    for (const secret of ['0123456789abcdef0123456789abcdef', '']) {
      const { result, ...changes } = await changesAfter(
        webhookOf(line, [accountLinkEvent(user, dialog)], { secret }),
      )
      expect(result).toBe(403)
      expect(changes).toEqual(nothing)
    }
  })

  test('meant for another bot, even when it is signed', async () => {
    const { dialog } = await agreed()
    const webhook = webhookOf(line, [accountLinkEvent(user, dialog)], { destination: `U${'0'.repeat(32)}` })
    const { result, ...changes } = await changesAfter(webhook)
    expect(result).toBe(421)
    expect(changes).toEqual(nothing)
  })

  test('when it is no JSON, or another JSON', async () => {
    const { secret } = botChannelOf(line)
    for (const body of ['', 'null', '[]', '{}', '{"destination":1,"events":[]}', '{"destination":"x"}', '\0'])
      expect((await deliver(server, { body, signature: sign(secret, body) })).status).toBe(400)
  })

  test('when it is larger than any of LINE’s, before its end is read', async () => {
    const body = 'a'.repeat(1024 * 1024 + 1)
    expect((await deliver(server, { body, signature: 'x' })).status).toBe(413)
  })

  test('and whoever goes on sending such ones has to stop', async () => {
    const forged = { body: '{}', signature: 'AAAA' }
    const statuses: number[] = []
    for (let time = 0; time < 110; time += 1) statuses.push((await deliver(server, forged)).status)
    expect(new Set(statuses)).toEqual(new Set([403, 429]))
    // LINE itself is not counted.
    expect((await deliver(server, webhookOf(line, []))).status).toBe(200)
  })
})

describe('a link that was passed on', () => {
  test('links the LINE account of whoever sent it to nobody: LINE compares who opens it', async () => {
    const attacker = givenLineUser(line)
    const { member, browser, page, dialog } = await agreed(attacker)
    const { rows, events } = await changesOf(server, async () => {
      // The member who was tricked opens LINE's page on their own phone.
      expect(confirmAtLine(line, user, dialog)).toBe('failed')
      await settle(server, line)
    })
    expect(rows).toEqual({})
    expect(events).toMatchObject([
      { type: 'upstream.notified' },
      {
        type: 'link.refused',
        memberId: member.id,
        data: { connectionId: 'line', way: 'line_message', reason: 'line_account_differs' },
      },
    ])
    const told = await browser.open(page)
    expect(told.url.search).toBe('?notice=line_account_differs&connection=line')
    expect(told.html).toContain('LINE was not linked.')
    // LINE does not say whose page it was, so nobody is told in a talk.
    expect(heard(line, user)).toEqual([])
  })

  test('does not help whoever puts the nonce of a member beside a link token of their own', async () => {
    const attacker = givenLineUser(line)
    const victim = await agreed()
    const own = await askForLink(server, line, attacker)
    const crafted = new URL(victim.dialog)
    crafted.searchParams.set('linkToken', own.searchParams.get('linkToken') ?? '')
    const { rows, events } = await changesOf(server, async () => {
      // LINE finds that the attacker holds the attacker's token, and says ok.
      expect(confirmAtLine(line, attacker, crafted)).toBe('ok')
      await settle(server, line)
    })
    expect(rows).toEqual({})
    expect(events).toMatchObject([
      { type: 'upstream.notified' },
      { type: 'link.refused', memberId: victim.member.id, data: { reason: 'line_account_differs' } },
    ])
    expect(heard(line, attacker).at(-1)?.text).toContain('連携できませんでした')
  })

  test('opened in another browser begins there, and says nothing before somebody has signed in', async () => {
    const button = await askForLink(server, line, user)
    const form = await visitor().open(button)
    expect(form.url.pathname).toMatch(/sign-in$/)
    expect(form.html).not.toContain(user.name)
  })

  test('and agreed to in one browser is no page for another', async () => {
    const { page } = await agreed()
    const other = await signInTo(server, await givenMember(server))
    expect((await other.open(page)).status).toBe(403)
  })
})

describe('a nonce', () => {
  test('that nobody was given links nothing', async () => {
    const dialog = new URL(`${line.url}/dialog/bot/accountLink?nonce=${'n'.repeat(43)}`)
    const { result, rows, events } = await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    expect([result, rows]).toEqual([200, {}])
    expect(events).toMatchObject([
      { type: 'upstream.notified' },
      { type: 'link.refused', memberId: null, data: { reason: 'line_confirmation_unknown' } },
    ])
  })

  test('works once: another event with it links nothing, also when the link is gone', async () => {
    const { member, dialog } = await agreed()
    await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    const { id } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
    await server.db.federatedIdentity.delete({ where: { id } })
    const { rows, events } = await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    expect(rows).toEqual({})
    expect(events).toMatchObject([
      {},
      { type: 'link.refused', data: { reason: 'line_confirmation_unknown' } },
    ])
  })

  test('is used up by a check that failed', async () => {
    const { dialog } = await agreed()
    await changesAfter(webhookOf(line, [accountLinkEvent(undefined, dialog, 'failed')]))
    const { rows } = await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    expect(rows).toEqual({})
  })

  test('of two events at once with it, one links', async () => {
    const { dialog } = await agreed()
    const before = await links()
    await deliver(server, webhookOf(line, [accountLinkEvent(user, dialog), accountLinkEvent(user, dialog)]))
    await server.app.dispatcher.drain()
    expect(await links()).toBe(before + 1)
  })

  test('counts for ten minutes', async () => {
    const { member, dialog } = await agreed()
    server.advance(601)
    const { rows, events } = await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    expect(rows).toEqual({})
    expect(events).toMatchObject([
      {},
      { type: 'link.refused', memberId: member.id, data: { reason: 'line_confirmation_over' } },
    ])
    expect(heard(line, user).at(-1)?.text).toContain('時間が切れました')
  })

  test('is hard to guess, and is not what the store keeps', async () => {
    const { dialog } = await agreed()
    expect(dialog.searchParams.get('nonce')).toMatch(/^[\w-]{43}$/)
    const { dialog: another } = await agreed(givenLineUser(line))
    expect(another.searchParams.get('nonce')).not.toBe(dialog.searchParams.get('nonce'))
    expect(await server.store.get(`line-confirmation:${dialog.searchParams.get('nonce')}`)).toBeUndefined()
  })
})

describe('between the agreement and LINE’s word', () => {
  /** What comes of LINE's word when `change` happened before it. */
  async function meanwhile(change: (memberId: string) => Promise<unknown>) {
    const { member, dialog } = await agreed()
    await change(member.id)
    return changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
  }

  test('a connection that was disabled links nobody', async () => {
    const changes = await meanwhile(() =>
      inTransaction(server.db, (tx) => disableConnection(tx, 'line', server.now())),
    )
    await inTransaction(server.db, (tx) => enableConnection(tx, 'line', server.now()))
    expect(changes.rows).toEqual({})
    expect(changes.events).toMatchObject([{}, { data: { reason: 'connection_unavailable' } }])
  })

  test('a member who was suspended is linked to nothing', async () => {
    const changes = await meanwhile((memberId) => suspendMember(server.db, memberId, undefined, server.now()))
    expect(changes.rows).toEqual({})
    expect(changes.events).toMatchObject([{}, { data: { reason: 'account_unavailable' } }])
  })

  test('of two members who agreed to link one LINE account, one gets it and the other is told', async () => {
    const [first, second] = [await agreed(), await agreed()]
    const before = await links()
    const webhook = webhookOf(line, [
      accountLinkEvent(user, first.dialog),
      accountLinkEvent(user, second.dialog),
    ])
    const changes = await changesAfter(webhook)
    expect(await links()).toBe(before + 1)
    expect(typesOf(changes).sort()).toEqual([
      'identity.linked',
      'link.refused',
      'upstream.notified',
      'upstream.notified',
    ])
  })

  test('a member who is linked to another LINE account keeps it, and is told in the talk', async () => {
    const { member, dialog } = await agreed()
    await changesAfter(webhookOf(line, [accountLinkEvent(user, dialog)]))
    const other = givenLineUser(line)
    const browser = await signInTo(server, member)
    const refused = await browser.open(await askForLink(server, line, other))
    expect(refused.status).toBe(409)
    const { subject } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
    expect(subject).toBe(userIdOf('provider-a', user.personId))
  })
})

describe('the link token', () => {
  test('leaves the address at once, and no page or log has it', async () => {
    const button = await askForLink(server, line, user)
    const token = button.searchParams.get('linkToken') ?? ''
    const browser = await signInTo(server, await givenMember(server))
    const hop = await browser.request(button)
    expect(hop.status).toBe(303)
    expect(hop.headers.get('location')).toMatch(/^\/link\/[\w-]+$/)
    expect(hop.headers.get('referrer-policy')).toBe('no-referrer')
    const consent = await browser.open(new URL(hop.headers.get('location') ?? '', server.issuer))
    expect(consent.html).not.toContain(token)
    expect(server.logged()).not.toContain(token)
  })

  test.each([
    ['without one', ''],
    ['with one that LINE never gave', '?linkToken=abcdefghijklmnop'],
    ['with two', '?linkToken=a&linkToken=b'],
  ])('is needed: %s there is a plain refusal and nothing is begun', async (_, query) => {
    const { result, ...changes } = await changesOf(server, () =>
      visitor().open(`${server.issuer}/link/line/line${query}`),
    )
    expect([400, 410]).toContain(result.status)
    expect(changes).toEqual(nothing)
  })

  test('of one official account opens nothing of another connection', async () => {
    const button = await askForLink(server, line, user)
    const other = new URL(button)
    other.pathname = '/link/line/other'
    expect((await visitor().open(other)).status).toBe(404)
  })

  test('whoever tries many is slowed down', async () => {
    const browser: Browser = visitor()
    const statuses: number[] = []
    for (let time = 0; time < 61; time += 1)
      statuses.push((await browser.open(`${server.issuer}/link/line/line?linkToken=guess${time}`)).status)
    expect(statuses.at(-1)).toBe(429)
  })
})
