import { messagingApi, validateSignature } from '@line/bot-sdk'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { botUserIdOf, userIdOf } from '../../src/demo/line/simulator.ts'
import {
  botChannelId,
  botChannelOf,
  call,
  challenge,
  exchange,
  loginChannelId,
  openLineBrowser,
  startSimulator,
  startWebhookReceiver,
  statelessToken,
  verifier,
  type WebhookReceiver,
} from '../support/line-simulator.ts'

let line: LineSimulator
let receiver: WebhookReceiver
let bot: messagingApi.MessagingApiClient

const personA = userIdOf('provider-a', 'person-a')
const nonce = 'c29tZS1yYW5kb20tdmFsdWU='

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(async () => {
  await line.control.reset()
  line.control.setRelation(botChannelId, 'person-a', 'friend')
  receiver = await startWebhookReceiver()
  botChannelOf(line).webhookUrl = receiver.url
  const channelAccessToken = await statelessToken(line, botChannelId)
  bot = new messagingApi.MessagingApiClient({ channelAccessToken, baseURL: line.url })
})
afterEach(() => receiver.close())
afterAll(() => line.close())

/** The first event of the n-th delivery, once it came with a signature that the SDK accepts. */
async function eventOf(index = 0): Promise<Record<string, unknown>> {
  await vi.waitFor(() => expect(receiver.deliveries.length).toBeGreaterThan(index))
  const { body = '', signature = '', events = [] } = receiver.deliveries[index] ?? {}
  expect(validateSignature(body, botChannelOf(line).secret, signature)).toBe(true)
  return events[0] ?? {}
}

describe('LINE account link', () => {
  const dialog = (linkToken: string, value = nonce) =>
    `${line.url}/dialog/bot/accountLink?${new URLSearchParams({ linkToken, nonce: value })}`

  test('a link token is refused for an unknown user, with the status that was set', async () => {
    const stranger = userIdOf('provider-b', 'person-a')
    await expect(bot.issueLinkToken(stranger)).rejects.toMatchObject({ status: 400 })
    line.control.configure({ linkTokenUnknownUserStatus: 404 })
    await expect(bot.issueLinkToken(stranger)).rejects.toMatchObject({ status: 404 })
    expect((await call(line, `/v2/bot/user/${personA}/linkToken`, { method: 'POST' })).status).toBe(401)
  })

  test('a used, an expired and an unknown token, or a bad nonce, end on a page and send no event', async () => {
    const browser = openLineBrowser(line.url)
    const { linkToken } = await bot.issueLinkToken(personA)
    expect((await browser.open(dialog(linkToken, 'short'))).status).toBe(400)
    expect((await browser.open(dialog('unknown'))).status).toBe(400)
    await browser.submit(await browser.open(dialog(linkToken)), '/dialog', {
      linkToken,
      nonce,
      person: 'person-a',
    })
    await eventOf()
    expect((await browser.open(dialog(linkToken))).status).toBe(400)
    const late = await bot.issueLinkToken(personA)
    line.control.advanceClock(600)
    expect((await browser.open(dialog(late.linkToken))).status).toBe(400)
    expect(receiver.deliveries).toHaveLength(1)
  })

  test('the person it was issued for causes an ok event that can be replied to once', async () => {
    const { linkToken } = await bot.issueLinkToken(personA)
    const browser = openLineBrowser(line.url)
    const page = await browser.open(dialog(linkToken))
    const done = await browser.submit(page, '/dialog', { linkToken, nonce, person: 'person-a' })
    expect(done.html).toContain('role="status"')
    const event = await eventOf()
    expect(event).toEqual({
      type: 'accountLink',
      mode: 'active',
      timestamp: expect.any(Number),
      source: { type: 'user', userId: personA },
      webhookEventId: expect.stringMatching(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/),
      deliveryContext: { isRedelivery: false },
      replyToken: expect.stringMatching(/^[0-9a-f]{32}$/),
      link: { result: 'ok', nonce },
    })
    expect(JSON.parse(receiver.deliveries[0]?.body ?? '').destination).toBe(botUserIdOf(botChannelId))

    const reply = {
      replyToken: String(event.replyToken),
      messages: [{ type: 'text', text: 'linked' }] as const,
    }
    await bot.replyMessage({ ...reply, messages: [...reply.messages] })
    const again = await call(line, '/v2/bot/message/reply', {
      bearer: await statelessToken(line, botChannelId),
      json: reply,
    })
    expect(again).toMatchObject({ status: 400, body: { message: 'Invalid reply token' } })
  })

  test('another person causes a failed event that names nobody', async () => {
    const { linkToken } = await bot.issueLinkToken(personA)
    expect(line.control.openAccountLink('person-b', linkToken, nonce)).toBe('failed')
    const event = await eventOf()
    expect(event).toMatchObject({ type: 'accountLink', link: { result: 'failed', nonce } })
    expect(event).not.toHaveProperty('source')
    expect(event).not.toHaveProperty('replyToken')
  })

  test('inside LINE the dialog knows whose phone it is', async () => {
    line.control.signInToApp('person-a', 'mobile')
    const { linkToken } = await bot.issueLinkToken(personA)
    const phone = openLineBrowser(line.url, { 'user-agent': 'Mozilla/5.0 (Android) Line/15.12.0' })
    expect((await phone.open(dialog(linkToken))).html).toContain('role="status"')
    expect(await eventOf()).toMatchObject({ link: { result: 'ok' } })
  })

  test('a reply token is worth nothing after a minute', async () => {
    line.control.setRelation(botChannelId, 'person-b', 'friend')
    const { replyToken } = await eventOf()
    line.control.advanceClock(60)
    const reply = { replyToken: String(replyToken), messages: [{ type: 'text', text: 'late' }] }
    const bearer = await statelessToken(line, botChannelId)
    expect(await call(line, '/v2/bot/message/reply', { bearer, json: reply })).toMatchObject({
      status: 400,
      body: { message: 'Invalid reply token' },
    })
  })
})

describe('LINE webhooks', () => {
  test('adding, blocking and unblocking are told; a person without profile consent stays unnamed', async () => {
    line.control.setRelation(botChannelId, 'person-a', 'blocked')
    expect(await eventOf(0)).toMatchObject({ type: 'unfollow', source: { userId: personA } })
    line.control.setRelation(botChannelId, 'person-a', 'friend')
    expect(await eventOf(1)).toMatchObject({ type: 'follow', follow: { isUnblocked: true } })
    const person = line.simulator.state.persons['person-b']
    if (person) person.profileConsent = false
    line.control.setRelation(botChannelId, 'person-b', 'friend')
    expect(await eventOf(2)).toMatchObject({ follow: { isUnblocked: false }, source: { type: 'user' } })
    expect((await eventOf(2)).source).not.toHaveProperty('userId')
    expect(receiver.deliveries[0]?.events[0]).not.toHaveProperty('replyToken')
  })

  test('a failed delivery is recorded and not repeated unless redelivery is on', async () => {
    line.control.configure({ redeliveryDelaysMs: [0] })
    receiver.answers.push(500)
    line.control.setRelation(botChannelId, 'person-b', 'friend')
    const attempts = async () => Object.values((await call(line, '/__sim/webhooks')).body)
    await vi.waitFor(async () =>
      expect(await attempts()).toMatchObject([{ reason: 'ERROR_STATUS_CODE', status: 500 }]),
    )
    line.control.setRelation(botChannelId, 'person-b', 'blocked')
    await vi.waitFor(async () => expect((await attempts()).at(-1)).toMatchObject({ reason: 'OK' }))
    expect(receiver.deliveries.map(({ events }) => events[0]?.type)).toEqual(['follow', 'unfollow'])
  })

  test('a redelivery has the same content and event ID, and says that it is one', async () => {
    botChannelOf(line).redelivery = true
    line.control.configure({ redeliveryDelaysMs: [0, 0], webhookTimeoutMs: 50 })
    receiver.answers.push(500, 0)
    line.control.setRelation(botChannelId, 'person-b', 'friend')
    const [first, third] = [await eventOf(0), await eventOf(2)]
    expect(third).toEqual({ ...first, deliveryContext: { isRedelivery: true } })
    await vi.waitFor(() =>
      expect(line.simulator.state.webhookAttempts.map(({ reason }) => reason)).toEqual([
        'ERROR_STATUS_CODE',
        'REQUEST_TIMEOUT',
        'OK',
      ]),
    )
  })

  test('deliveries can be wrong on purpose', async () => {
    const send = (json: object) =>
      call(line, '/__sim/webhooks', { json: { channelId: botChannelId, ...json } })
    const verdicts = () =>
      receiver.deliveries.map(({ body, signature }) =>
        validateSignature(body, botChannelOf(line).secret, signature),
      )
    await send({ events: [{ type: 'unknownType' }], wrongSignature: true })
    await send({ events: [{ type: 'follow' }], alteredBody: true })
    await vi.waitFor(() => expect(verdicts()).toEqual([false, false]))
    await send({ events: [{ type: 'first' }, { type: 'second' }], reorder: true, duplicate: true })
    await vi.waitFor(() => expect(verdicts()).toEqual([false, false, true, true]))
    expect(receiver.deliveries.at(-1)?.events.map(({ type }) => type)).toEqual(['second', 'first'])
    await send({ events: [] })
    await vi.waitFor(() => expect(receiver.deliveries.at(-1)?.events).toEqual([]))
  })

  test('the endpoint is set, read and tested by the account itself', async () => {
    await bot.setWebhookEndpoint({ endpoint: `${receiver.url}/other` })
    expect(await bot.getWebhookEndpoint()).toMatchObject({ endpoint: `${receiver.url}/other`, active: true })
    expect(await bot.testWebhookEndpoint({})).toMatchObject({ success: true, statusCode: 200, reason: 'OK' })
    expect(await bot.testWebhookEndpoint({ endpoint: 'http://127.0.0.1:1/' })).toMatchObject({
      success: false,
      reason: 'COULD_NOT_CONNECT',
    })
  })
})

describe('LIFF', () => {
  const liffId = '1234567890-liffAppA'
  const verifyWithCerts = async (idToken: unknown) => {
    const certs = (await call(line, '/oauth2/v2.1/certs')).body as unknown as JSONWebKeySet
    const expected = { issuer: line.url, audience: loginChannelId, algorithms: ['ES256'] }
    return (await jwtVerify(String(idToken), createLocalJWKSet(certs), expected)).payload
  }

  test('minted tokens are ES256 without a nonce, and the access token lives 12 hours', async () => {
    const path = '/__sim/persons/person-a/liff-tokens'
    expect((await call(line, path, { json: { liffId: '1234567890-unknown0' } })).status).toBe(404)
    const { idToken, accessToken } = (await call(line, path, { json: { liffId } })).body
    const claims = await verifyWithCerts(idToken)
    expect(claims).toMatchObject({ sub: personA, name: 'LINE Person A' })
    expect(claims).not.toHaveProperty('nonce')
    const { body } = await call(line, `/oauth2/v2.1/verify?access_token=${accessToken}`)
    expect(body).toMatchObject({ client_id: loginChannelId, scope: 'openid profile' })
    expect(body.expires_in).toBeGreaterThan(43_190)
    expect(body.expires_in).toBeLessThanOrEqual(43_200)
  })

  test('liff.login() returns to the endpoint with a code that needs no secret but PKCE', async () => {
    const redirect_uri = 'https://liff.example.com/page'
    const params = { app_id: liffId, state: 'liffstate123', response_type: 'code', code_challenge: challenge }
    const open = (extra: Record<string, string>) =>
      openLineBrowser(line.url).open(
        `${line.url}/liff/v1/authorize?${new URLSearchParams({ ...params, ...extra })}`,
      )
    expect((await open({ redirect_uri: 'https://elsewhere.example/' })).status).toBe(400)

    Object.assign(line.simulator.state.settings, { appPersonId: 'person-a', autoLogin: 'any' })
    line.control.planConsent('person-a', { allow: true, email: true, addFriend: false })
    const { url } = await open({ redirect_uri, code_challenge_method: 'S256' })
    const { code = '', ...rest } = Object.fromEntries(new URL(url).searchParams)
    expect(rest).toEqual({
      state: 'liffstate123',
      liffClientId: loginChannelId,
      liffRedirectUri: redirect_uri,
    })
    const answer = await exchange(line, code, {
      redirect_uri,
      client_secret: '',
      appId: liffId,
      code_verifier: verifier,
      id_token_key_type: 'JWK',
    })
    expect(answer.body).toMatchObject({ expires_in: 43_200 })
    await verifyWithCerts(answer.body.id_token)
  })

  test('the liff host opens the endpoint with liff.state', async () => {
    const response = await fetch(`${line.url}/${liffId}/card?tab=1`, { redirect: 'manual' })
    expect(response.headers.get('location')).toBe('https://liff.example.com/?liff.state=%2Fcard%3Ftab%3D1')
    expect((await fetch(`${line.url}/1234567890-unknown0`)).status).toBe(404)
  })
})
