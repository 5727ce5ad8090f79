import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isSignedByLine, readWebhook } from '../../src/connections/line-messaging/webhook.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { botChannelId, botChannelOf, call, statelessToken } from '../support/line-simulator.ts'
import { deliver, givenLineUser, givenOfficialAccount, settle, webhookOf } from '../support/line-talk.ts'
import { send } from '../support/post.ts'
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

describe('Messaging API, Verify webhook signature', () => {
  // The documentation's own example.
  const secret = '8c570fa6dd201bb328f1c1eac23a96d8'
  const body = '{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}'
  const signature = 'GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs='

  test('the documented signature is the one of the documented body', () => {
    expect(isSignedByLine(secret, Buffer.from(body), signature)).toBe(true)
  })

  test.each([
    ['one more space', body.replace(',', ', '), signature],
    ['the same JSON in another order', body.replace(/^(.)(.+),(.+)(.)$/, '$1$3,$2$4'), signature],
    ['no signature', body, ''],
    ['a signature cut short', body, signature.slice(0, 20)],
    ['one in hexadecimal', body, Buffer.from(signature, 'base64').toString('hex')],
    ['one that is no Base64', body, '????'],
  ])('it is of nothing else: %s', (_, sent, presented) => {
    expect(isSignedByLine(secret, Buffer.from(sent), presented)).toBe(false)
  })

  test('bytes that are no text are signed like any others, and are no webhook', () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00])
    expect(readWebhook(bytes)).toBeUndefined()
  })
})

describe('Messaging API, Receiving messages', () => {
  test('the check of the connection, which has no events, is answered with 200', async () => {
    expect(await deliver(server, webhookOf(line, []))).toMatchObject({ status: 200, text: '' })
    const bearer = await statelessToken(line, botChannelId)
    const answer = await call(line, '/v2/bot/channel/webhook/test', { json: {}, bearer })
    expect(answer.body).toMatchObject({ success: true, statusCode: 200, reason: 'OK' })
  })

  test('the name of the header may be in any case', async () => {
    const { body, signature } = webhookOf(line, [])
    const headers = { host: new URL(server.issuer).host, 'X-LINE-SIGNATURE': signature }
    const answer = await send(`${server.issuer}/connections/line/line/webhook`, {
      method: 'POST',
      headers,
      body,
    })
    expect(answer.status).toBe(200)
  })

  test('types and properties that LINE adds some day are no reason to refuse the rest', async () => {
    const user = givenLineUser(line)
    const known = {
      type: 'unfollow',
      mode: 'active',
      timestamp: Date.now(),
      webhookEventId: `known${user.userId}`,
      source: { type: 'user', userId: user.userId, region: 'JP' },
      deliveryContext: { isRedelivery: false },
      mood: 'sad',
    }
    const events = [{ type: 'membership', webhookEventId: 'x' }, {}, { type: 7 }, known]
    expect((await deliver(server, webhookOf(line, events))).status).toBe(200)
    const kept = await server.db.upstreamNotice.findMany({ where: { noticeId: `known${user.userId}` } })
    expect(kept).toHaveLength(1)
  })

  test('an event without a user, whose holder shows no profile, is answered and leads to nothing', async () => {
    const event = {
      type: 'follow',
      mode: 'active',
      timestamp: 1,
      webhookEventId: 'anonymous',
      source: { type: 'user' },
    }
    expect((await deliver(server, webhookOf(line, [event]))).status).toBe(200)
    expect(await server.db.upstreamNotice.count({ where: { noticeId: 'anonymous' } })).toBe(0)
  })

  test('several events of several people come at once, and each has its answer', async () => {
    const people = [givenLineUser(line), givenLineUser(line), givenLineUser(line)]
    line.control.sendWebhook(
      botChannelId,
      people.map(({ userId }) => ({
        type: 'message',
        source: { type: 'user', userId },
        message: { type: 'text', text: '連携' },
      })),
    )
    await settle(server, line)
    const answered = line.simulator.state.sentMessages.map(({ personId }) => personId)
    expect(people.every(({ personId }) => answered.includes(personId))).toBe(true)
  })

  test('it is answered before LINE is asked anything: a LINE that hangs keeps no webhook waiting', async () => {
    const user = givenLineUser(line)
    line.control.fail({
      ...{ remaining: 1, status: 0, moment: 'before', pathPrefix: '/v2/bot/user' },
      ...{ delayMs: 3_000, resetConnection: false },
    })
    line.control.say(user.personId, botChannelId, '連携')
    await line.settled()
    expect(line.simulator.state.webhookAttempts.at(-1)).toMatchObject({ reason: 'OK', status: 200 })
    line.control.clearFailures()
  })

  test.each(['GET', 'PUT'])('%s is no way to deliver', async (method) => {
    const headers = { host: new URL(server.issuer).host }
    const answer = await send(`${server.issuer}/connections/line/line/webhook`, { method, headers })
    expect(answer.status).toBeGreaterThanOrEqual(404)
    expect(answer.status).toBeLessThan(406)
  })

  test('a connection without an official account has no webhook', async () => {
    const webhook = webhookOf(line, [], { secret: botChannelOf(line).secret })
    const headers = { host: new URL(server.issuer).host, 'x-line-signature': webhook.signature }
    const answer = await send(`${server.issuer}/connections/other/line/webhook`, {
      ...{ method: 'POST', headers },
      body: webhook.body,
    })
    expect(answer.status).toBe(404)
  })
})
