import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection, enableConnection } from '../../src/connections/connection.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { keepInvitation } from '../../src/linking/messaging/invitation.ts'
import { markNeedsRelink } from '../../src/linking/unlink/needs-relink.ts'
import { inTransaction, openDb } from '../../src/store/db.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { type GivenMember, givenIdentity, givenMember } from '../support/given.ts'
import { botChannelId } from '../support/line-simulator.ts'
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
  menuOf,
  settle,
  webhookOf,
} from '../support/line-talk.ts'
import { changesOf, signInTo, typesOf, visitor } from '../support/linking.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { givenLine, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let menus: Awaited<ReturnType<typeof givenOfficialAccount>>
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  menus = await givenOfficialAccount(server, line)
})
afterAll(async () => {
  await Promise.all([server.close(), line.close()])
})

let user: LineUser
beforeEach(() => {
  user = givenLineUser(line)
  line.control.clearFailures()
})

const linkPage = /^\/link\/[\w-]{32}$/

/** A member in a browser of their own who has agreed; LINE's page is what comes next. */
async function agreed(who = user) {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  return { member, browser, ...(await agreeToLink(line, browser, await askForLink(server, line, who))) }
}

async function linked() {
  const { member, browser, dialog } = await agreed()
  confirmAtLine(line, user, dialog)
  await settle(server, line)
  return { member, browser }
}

const credentialsOf = ({ email, password }: GivenMember) => ({ email, password })
const linkOf = (memberId: string) => server.db.federatedIdentity.findFirst({ where: { memberId } })

describe('the link in the talk', () => {
  test.each(['連携', ' 連携 ', 'ＬＩＮＫ'])('is sent to whoever says %s', async (words) => {
    const button = await askForLink(server, line, user, words)
    expect(button.href).toMatch(new RegExp(`^${server.issuer}/link/line/line\\?linkToken=[\\w-]+$`))
    expect(heard(line, user)).toMatchObject([{ kind: 'reply', text: expect.stringContaining('10分以内') }])
  })

  test('is in the language of their LINE', async () => {
    const speaker = givenLineUser(line, { language: 'en' })
    await askForLink(server, line, speaker)
    expect(heard(line, speaker)[0]?.text).toContain('Link your LINE account')
  })

  test('greets a new friend, with the menu of those who are not linked', async () => {
    const newcomer = givenLineUser(line, { relation: 'none' })
    line.control.setRelation(botChannelId, newcomer.personId, 'friend')
    await settle(server, line)
    expect(heard(line, newcomer)).toMatchObject([
      { kind: 'reply', text: expect.stringContaining('友だち追加'), links: [{ label: '会員IDと連携する' }] },
    ])
    expect(menuOf(line, newcomer)).toBe(menus.unlinkedMenu)
  })

  test('is sent for a button of a menu that posts the word back', async () => {
    line.control.sendWebhook(botChannelId, [
      { type: 'postback', source: { type: 'user', userId: user.userId }, postback: { data: '連携' } },
    ])
    await settle(server, line)
    // Without a reply token there is a push.
    expect(heard(line, user)).toMatchObject([{ kind: 'push', links: [{ label: '会員IDと連携する' }] }])
  })

  test.each([
    ['anything else they say', { type: 'message', message: { type: 'text', text: 'こんにちは' } }],
    ['a sticker', { type: 'message', message: { type: 'sticker' } }],
    ['the word in standby', { type: 'message', mode: 'standby', message: { type: 'text', text: '連携' } }],
    ['an event LINE adds some day', { type: 'somethingNew', message: { type: 'text', text: '連携' } }],
  ])('is not sent for %s, and nothing of it is kept', async (_, event) => {
    const notices = await server.db.upstreamNotice.count()
    line.control.sendWebhook(botChannelId, [{ source: { type: 'user', userId: user.userId }, ...event }])
    await settle(server, line)
    expect(line.simulator.state.webhookAttempts.at(-1)).toMatchObject({ status: 200 })
    expect(heard(line, user)).toEqual([])
    expect(await server.db.upstreamNotice.count()).toBe(notices)
  })

  test('is not sent to a group, where it would be everybody’s', async () => {
    line.control.sendWebhook(botChannelId, [
      {
        type: 'message',
        source: { type: 'group', groupId: 'C1', userId: user.userId },
        message: { type: 'text', text: '連携' },
      },
    ])
    await settle(server, line)
    expect(heard(line, user)).toEqual([])
  })

  test('is not sent to those who are linked: they hear so, and how to unlink', async () => {
    await linked()
    line.control.say(user.personId, botChannelId, '連携')
    await settle(server, line)
    expect(heard(line, user).at(-1)).toMatchObject({
      text: expect.stringContaining('すでに'),
      links: [
        { uri: `${server.issuer}/account` },
        { uri: `${server.issuer}/account/connections/line/unlink` },
      ],
    })
  })

  test('comes ten times in ten minutes, and then no more', async () => {
    for (let time = 0; time < 12; time += 1) line.control.say(user.personId, botChannelId, '連携')
    await settle(server, line)
    expect(heard(line, user)).toHaveLength(10)
  })
})

describe('a member links from the talk', () => {
  test('and finds the menu of the linked and a message', async () => {
    const { member, dialog } = await agreed()
    const { rows, events } = await changesOf(server, async () => {
      expect(confirmAtLine(line, user, dialog)).toBe('ok')
      await settle(server, line)
    })
    expect(rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1' })
    expect(events.map(({ type }) => type)).toEqual(['upstream.notified', 'identity.linked'])
    expect(await linkOf(member.id)).toMatchObject({
      ...{ connectionId: 'line', issuer: line.url, subject: user.userId },
      ...{ way: 'line_message', profile: { name: user.name } },
    })
    const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
    expect(consent).toMatchObject({ way: 'line_message', shown: { account: user.name } })
    expect(menuOf(line, user)).toBe(menus.linkedMenu)
    expect(heard(line, user).at(-1)).toMatchObject({
      kind: 'push',
      text: expect.stringContaining('連携が完了しました'),
      links: [
        { label: 'マイページを見る', uri: `${server.issuer}/account` },
        { label: '連携を解除する', uri: `${server.issuer}/account/connections/line/unlink` },
      ],
    })
  })

  test('the page waits without a script, and says so when LINE has answered', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    browser.stopAt(`${line.url}/dialog/`)
    const consent = await browser.open(await askForLink(server, line, user))
    expect(consent.url.pathname).toMatch(linkPage)
    expect(consent.html).toContain(user.name)
    const { url: dialog } = await browser.submit(consent, '/agree')
    const waiting = await browser.open(consent.url)
    expect(waiting.headers.get('refresh')).toBe('3')
    expect(waiting.html).toContain('Please confirm in LINE')
    confirmAtLine(line, user, dialog)
    await settle(server, line)
    const done = await browser.open(consent.url)
    expect(done.url.search).toBe('?notice=linked&connection=line')
    expect(done.html).toContain('LINE is now linked.')
  })

  test('who is not signed in signs in first, and comes back to the agreement', async () => {
    const member = await givenMember(server)
    const browser = visitor()
    const form = await browser.open(await askForLink(server, line, user))
    expect(form.url.pathname).toMatch(/sign-in$/)
    const consent = await browser.submit(form, '/sign-in', credentialsOf(member))
    expect(consent.url.pathname).toMatch(linkPage)
    expect(consent.html).toContain(user.name)
  })

  test('who has signed in long ago proves anew who they are', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    server.advance(601)
    const form = await browser.open(await askForLink(server, line, user))
    expect(form.url.pathname).toMatch(/sign-in$/)
    const consent = await browser.submit(form, '/sign-in', credentialsOf(member))
    expect(consent.html).toContain(user.name)
  })

  test('agreeing again, after coming back, opens LINE with another nonce, and the first is of no use', async () => {
    const { member, browser, page, dialog } = await agreed()
    const waiting = await browser.open(page)
    browser.stopAt(`${line.url}/dialog/`)
    const { url: again } = await browser.submit(waiting, '/agree')
    browser.stopAt(undefined)
    expect(again.searchParams.get('linkToken')).toBe(dialog.searchParams.get('linkToken'))
    expect(again.searchParams.get('nonce')).not.toBe(dialog.searchParams.get('nonce'))
    confirmAtLine(line, user, dialog)
    await settle(server, line)
    expect(await linkOf(member.id)).toBeNull()
  })

  test('declining while LINE is asked leaves nothing linked, whatever LINE says then', async () => {
    const { member, browser, page, dialog } = await agreed()
    const waiting = await browser.open(page)
    const { result, ...changes } = await changesOf(server, async () => {
      const declined = await browser.submit(waiting, '/decline')
      confirmAtLine(line, user, dialog)
      await settle(server, line)
      return declined
    })
    expect(result.url.search).toBe('?notice=declined&connection=line')
    expect(changes.rows).toEqual({})
    expect(typesOf({ result, ...changes })).toEqual(['link.declined', 'upstream.notified', 'link.refused'])
    expect(await linkOf(member.id)).toBeNull()
  })
})

test('a connection that is disabled while LINE is asked links nobody, and says so', async () => {
  const { member, dialog } = await agreed()
  const before = heard(line, user).length
  await inTransaction(server.db, (tx) => disableConnection(tx, 'line', server.now()))
  confirmAtLine(line, user, dialog)
  await settle(server, line)
  expect(await linkOf(member.id)).toBeNull()
  const said = { kind: 'reply', text: expect.stringContaining('連携できませんでした') }
  expect(heard(line, user).slice(before)).toMatchObject([said])
  expect(menuOf(line, user)).not.toBe(menus.linkedMenu)
  await inTransaction(server.db, (tx) => enableConnection(tx, 'line', server.now()))
  expect((await linked()).member).toBeDefined()
})

describe('what is delivered again', () => {
  test('by LINE, again and again and to two processes at once, links once and says so once', async () => {
    const { member, dialog } = await agreed()
    const webhook = webhookOf(line, [accountLinkEvent(user, dialog)])
    const peer = await server.startPeer()
    const { rows, events } = await changesOf(server, async () => {
      const answers = await Promise.all([
        deliver(server, webhook),
        deliver(server, webhook, peer.origin),
        deliver(server, webhook),
      ])
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
      await Promise.all([server.app.dispatcher.drain(), peer.app.dispatcher.drain()])
      await deliver(server, webhook)
    })
    await peer.close()
    expect(rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1' })
    expect(events.map(({ type }) => type)).toEqual(['upstream.notified', 'identity.linked'])
    expect(heard(line, user).filter(({ text }) => text.includes('完了'))).toHaveLength(1)
    expect(await linkOf(member.id)).not.toBeNull()
  })

  test('because a process died between linking and saying so links once and says so once', async () => {
    const { member, dialog } = await agreed()
    await deliver(server, webhookOf(line, [accountLinkEvent(user, dialog)]))
    await server.app.dispatcher.drain()
    const again = async (type: string, sink: string) => {
      const { position } = await server.db.event.findFirstOrThrow({
        where: { type },
        orderBy: { position: 'desc' },
      })
      await server.db.delivery.create({
        data: { eventPosition: position, sink, nextAttemptAt: server.now() },
      })
    }
    const { rows, events } = await changesOf(server, async () => {
      await server.db.upstreamNotice.updateMany({ data: { handledAt: null } })
      await Promise.all([again('upstream.notified', 'notices'), again('identity.linked', 'messaging')])
    })
    expect({ rows, events }).toEqual({ rows: {}, events: [] })
    expect(heard(line, user).filter(({ text }) => text.includes('完了'))).toHaveLength(1)
    expect(await linkOf(member.id)).not.toBeNull()
  })

  test('because our database was away, which is a 503, is not lost', async () => {
    const { member, dialog } = await agreed()
    const webhook = webhookOf(line, [accountLinkEvent(user, dialog)])
    const url = new URL(server.config.DATABASE_URL ?? '')
    const proxy = await startTcpProxy(Number(url.port))
    url.host = `127.0.0.1:${proxy.port}`
    const db = openDb(url.href, 4)
    const peer = await server.startPeer({ db, log: createLogger('silent') })
    await proxy.close()
    expect((await deliver(server, webhook, peer.origin)).status).toBe(503)
    await peer.close()
    await db.$disconnect()
    expect(await linkOf(member.id)).toBeNull()

    expect((await deliver(server, webhook)).status).toBe(200)
    await server.app.dispatcher.drain()
    expect(await linkOf(member.id)).not.toBeNull()
  })
})

describe('while LINE does not answer', () => {
  const failing = (status: number, pathPrefix: string, moment: 'before' | 'after' = 'before') =>
    line.control.fail({ remaining: 1, status, moment, pathPrefix, delayMs: 0, resetConnection: false })

  test.each([
    [429, 'before'],
    [500, 'before'],
    [500, 'after'],
  ] as const)(
    'the message after linking is sent until it is accepted, and arrives once: %i %s',
    async (status, moment) => {
      const { dialog } = await agreed()
      failing(status, '/v2/bot/message/push', moment)
      confirmAtLine(line, user, dialog)
      await settle(server, line)
      server.advance(5)
      await server.app.dispatcher.drain()
      expect(line.simulator.state.failures[0]?.remaining).toBe(0)
      expect(heard(line, user).filter(({ text }) => text.includes('完了'))).toHaveLength(1)
    },
  )

  test('the menu is switched later, and the link is there at once', async () => {
    const { member, dialog } = await agreed()
    failing(500, `/v2/bot/user/${user.userId}/richmenu`)
    confirmAtLine(line, user, dialog)
    await settle(server, line)
    expect(await linkOf(member.id)).not.toBeNull()
    expect(menuOf(line, user)).toBeUndefined()
    server.advance(5)
    await server.app.dispatcher.drain()
    expect(menuOf(line, user)).toBe(menus.linkedMenu)
  })

  test('a request for the link is answered later, by push, when a reply is too late', async () => {
    failing(500, '/v2/bot/user')
    line.control.say(user.personId, botChannelId, '連携')
    await settle(server, line)
    expect(heard(line, user)).toEqual([])
    server.advance(120)
    await server.app.dispatcher.drain()
    expect(heard(line, user)).toMatchObject([{ kind: 'push', links: [{ label: '会員IDと連携する' }] }])
  })

  test('a channel token that has ended is replaced by another', async () => {
    await askForLink(server, line, user)
    for (const token of Object.values(line.simulator.state.channelTokens)) token.revoked = true
    await askForLink(server, line, user)
    expect(heard(line, user)).toHaveLength(2)
  })
})

describe('the menu follows the link', () => {
  test('when it was made by LINE Login', async () => {
    const { id: memberId } = await givenMember(server)
    await givenIdentity(server, { memberId, connectionId: 'line', subject: user.userId })
    await server.app.dispatcher.drain()
    expect(menuOf(line, user)).toBe(menus.linkedMenu)
    expect(heard(line, user)).toMatchObject([{ text: expect.stringContaining('完了') }])
  })

  test('when it is undone on the account page', async () => {
    const { browser } = await linked()
    const unlink = await browser.open(`${server.issuer}/account/connections/line/unlink`)
    await browser.submit(unlink, '/unlink')
    await server.app.dispatcher.drain()
    expect(menuOf(line, user)).toBe(menus.unlinkedMenu)
  })
})

test('a link that LINE no longer stood behind is mended from the talk, and is the same link', async () => {
  const { member } = await linked()
  const before = await linkOf(member.id)
  await markNeedsRelink(server.db, before?.id ?? '', 'tokens_revoked', server.now())
  const browser = await signInTo(server, member)
  const button = new URL(`${server.issuer}/link/line/line`)
  button.searchParams.set('linkToken', await givenInvitation())
  const { dialog } = await agreeToLink(line, browser, button)
  const { rows, events } = await changesOf(server, () =>
    deliver(server, webhookOf(line, [accountLinkEvent(user, dialog)])),
  )
  expect(rows).toEqual({ FederatedIdentity: '~1' })
  expect(events.map(({ type }) => type)).toEqual(['upstream.notified', 'identity.relinked'])
  expect(await linkOf(member.id)).toMatchObject({ id: before?.id, needsRelinkSince: null })
})

/** The link as it was sent before anybody had linked the account. */
async function givenInvitation(): Promise<string> {
  const linkToken = `token${user.personId}`
  const account = { connectionId: 'line', issuer: line.url, subject: user.userId }
  await keepInvitation(server.store, linkToken, { ...account, profile: {}, emailVerified: false })
  return linkToken
}

describe('blocking the official account', () => {
  test('unlinks nothing; nothing is sent until it is unblocked', async () => {
    const { member } = await linked()
    const { rows, events } = await changesOf(server, async () => {
      line.control.setRelation(botChannelId, user.personId, 'blocked')
      await line.settled()
    })
    expect(rows).toEqual({ FederatedIdentity: '~1' })
    expect(events.map(({ type }) => type)).toEqual(['upstream.notified', 'friendship.ended'])
    expect(await linkOf(member.id)).toMatchObject({ isFriend: false, needsRelinkSince: null })

    // As if LINE had forgotten that it was sent before.
    line.simulator.state.retryKeys = {}
    const sent = line.simulator.state.sentMessages.length
    const identity = await linkOf(member.id)
    await server.db.delivery.create({
      data: {
        sink: 'messaging',
        nextAttemptAt: server.now(),
        eventPosition: (
          await server.db.event.findFirstOrThrow({
            where: { type: 'identity.linked', data: { path: ['identityId'], equals: identity?.id ?? '' } },
          })
        ).position,
      },
    })
    await server.app.dispatcher.drain()
    expect(line.simulator.state.sentMessages).toHaveLength(sent)

    line.control.setRelation(botChannelId, user.personId, 'friend')
    await settle(server, line)
    expect(await linkOf(member.id)).toMatchObject({ isFriend: true })
    expect(menuOf(line, user)).toBe(menus.linkedMenu)
    // Who unblocks has not asked for anything.
    expect(line.simulator.state.sentMessages).toHaveLength(sent)
  })

  test('counts as it happened, in whatever order it is told', async () => {
    const { member } = await linked()
    const source = { type: 'user', userId: user.userId }
    const at = (seconds: number) => ({ source, timestamp: Date.now() + seconds * 1000 })
    const follow = { type: 'follow', mode: 'active', webhookEventId: `f${user.userId}`, ...at(2) }
    const unfollow = { type: 'unfollow', mode: 'active', webhookEventId: `u${user.userId}`, ...at(1) }
    for (const event of [follow, unfollow]) {
      await deliver(server, webhookOf(line, [event]))
      await server.app.dispatcher.drain()
    }
    expect(await linkOf(member.id)).toMatchObject({ isFriend: true })
  })

  test('is noted of nobody who has linked nothing', async () => {
    const { rows, events } = await changesOf(server, async () => {
      line.control.setRelation(botChannelId, user.personId, 'blocked')
      await line.settled()
    })
    expect(rows).toEqual({})
    expect(events.map(({ type }) => type)).toEqual(['upstream.notified'])
  })
})

test('a link that another way has made meanwhile is no failure', async () => {
  const { member, dialog } = await agreed()
  await givenIdentity(server, { memberId: member.id, connectionId: 'line', subject: user.userId })
  const { rows } = await changesOf(server, async () => {
    confirmAtLine(line, user, dialog)
    await settle(server, line)
  })
  expect(rows).toEqual({})
})

describe('an account that is linked to another member', () => {
  test('is told of only to whom LINE has confirmed, who then decides on the page that waited', async () => {
    const owner = await givenMember(server)
    await givenIdentity(server, { memberId: owner.id, connectionId: 'line', subject: user.userId })
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const button = new URL(`${server.issuer}/link/line/line`)
    button.searchParams.set('linkToken', await givenInvitation())
    const { page, dialog } = await agreeToLink(line, browser, button)
    const { rows, events } = await changesOf(server, async () => {
      await deliver(server, webhookOf(line, [accountLinkEvent(user, dialog)]))
    })
    expect(rows).toEqual({})
    expect(events).toMatchObject([
      { type: 'upstream.notified' },
      {
        type: 'link.refused',
        memberId: member.id,
        data: { reason: 'identity_linked_to_another_member', way: 'line_message' },
      },
    ])
    expect(heard(line, user).at(-1)?.text).toContain('別の会員ID')
    const decision = await browser.open(page)
    expect(decision.html).toContain('The LINE account you chose is linked to another member ID')
    expect(await linkOf(owner.id)).not.toBeNull()
    expect(await linkOf(member.id)).toBeNull()
  })
})
