import { channelAccessToken, HTTPFetchError, messagingApi, validateSignature } from '@line/bot-sdk'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import {
  botChannelId,
  botChannelOf,
  call,
  startSimulator,
  statelessToken,
} from '../support/line-simulator.ts'

let line: LineSimulator
let bearer: string
let bot: messagingApi.MessagingApiClient

const [personA, personC] = [userIdOf('provider-a', 'person-a'), userIdOf('provider-a', 'person-c')]
const stranger = userIdOf('provider-b', 'person-a')
const hello = { type: 'text', text: 'hello' } as const

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(async () => {
  await line.control.reset()
  bearer = await statelessToken(line, botChannelId)
  bot = new messagingApi.MessagingApiClient({ channelAccessToken: bearer, baseURL: line.url })
  line.control.setRelation(botChannelId, 'person-a', 'friend')
})
afterAll(() => line.close())

/** The refusal the SDK throws, as the status and body LINE sent. */
async function refusalOf(
  promise: Promise<unknown>,
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof HTTPFetchError)) throw new Error('The call was not refused', { cause: error })
  return { status: error.status, body: JSON.parse(error.body), headers: error.headers }
}

describe('LINE channel access tokens with the SDK', () => {
  test('stateless and short-lived tokens are issued, verified and revoked', async () => {
    const client = new channelAccessToken.ChannelAccessTokenClient({ baseURL: line.url })
    const { secret } = botChannelOf(line)
    expect(await client.issueStatelessChannelTokenByClientSecret(botChannelId, secret)).toMatchObject({
      expires_in: 900,
    })
    const { access_token } = await client.issueChannelToken('client_credentials', botChannelId, secret)
    expect(await client.verifyChannelToken(access_token)).toMatchObject({ client_id: botChannelId })
    await client.revokeChannelToken(access_token)
    expect((await refusalOf(client.verifyChannelToken(access_token))).status).toBe(400)
  })

  test('no call of the Messaging API works without a token of a messaging channel', async () => {
    const login = await statelessToken(line, '1234567890')
    for (const channelToken of ['wrong', login]) {
      const client = new messagingApi.MessagingApiClient({
        channelAccessToken: channelToken,
        baseURL: line.url,
      })
      const { status, body } = await refusalOf(client.getBotInfo())
      expect([status, body]).toEqual([
        401,
        { message: expect.stringContaining('Authentication failed due to') },
      ])
    }
  })

  test('a long-lived token of the console works until the channel loses it', async () => {
    botChannelOf(line).longLivedToken = 'token-from-the-console'
    expect((await call(line, '/v2/bot/info', { bearer: 'token-from-the-console' })).status).toBe(200)
    delete botChannelOf(line).longLivedToken
    expect((await call(line, '/v2/bot/info', { bearer: 'token-from-the-console' })).status).toBe(401)
  })
})

describe('LINE push and multicast', () => {
  test("refuses another provider's user ID, and a body that is not well formed", async () => {
    const foreign = await refusalOf(bot.pushMessage({ to: stranger, messages: [hello] }))
    expect(foreign).toMatchObject({ status: 400, body: { message: 'Failed to send messages' } })
    const many = await refusalOf(bot.pushMessage({ to: personA, messages: Array(6).fill(hello) }))
    expect(many).toMatchObject({ status: 400, body: { message: 'The request body has 1 error(s)' } })
    const empty = await refusalOf(bot.pushMessage({ to: 'person-a', messages: [{ type: 'text', text: '' }] }))
    expect(empty.body).toMatchObject({
      message: 'The request body has 2 error(s)',
      details: [{ property: 'to' }, { property: 'messages[0].text' }],
    })
    expect(line.simulator.state.sentMessages).toEqual([])
  })

  test('answers 200 where nobody reads it, and delivers to a friend', async () => {
    line.control.setRelation(botChannelId, 'person-b', 'blocked')
    for (const to of [personA, userIdOf('provider-a', 'person-b'), personC]) {
      const { sentMessages } = await bot.pushMessage({ to, messages: [hello] })
      expect(sentMessages).toEqual([
        { id: expect.stringMatching(/^\d{17,18}$/), quoteToken: expect.any(String) },
      ])
    }
    const sent = line.simulator.state.sentMessages.map(({ personId, delivered }) => [personId, delivered])
    expect(sent).toEqual([
      ['person-a', true],
      ['person-b', false],
      ['person-c', false],
    ])
  })

  test('a retry key is accepted once in 24 hours, and must be a UUID', async () => {
    const message = { to: personA, messages: [hello] }
    const key = '123e4567-e89b-12d3-a456-426614174000'
    expect((await refusalOf(bot.pushMessage(message, 'not-a-uuid'))).status).toBe(400)
    const first = await bot.pushMessageWithHttpInfo(message, key)
    const again = await refusalOf(bot.pushMessage(message, key))
    expect(again.status).toBe(409)
    expect(again.body).toEqual({
      message: 'The retry key is already accepted',
      sentMessages: first.body.sentMessages,
    })
    expect(again.headers.get('x-line-accepted-request-id')).toBe(
      first.httpResponse.headers.get('x-line-request-id'),
    )
    expect(line.simulator.state.sentMessages).toHaveLength(1)

    line.control.advanceClock(86_400)
    bearer = await statelessToken(line, botChannelId)
    const late = await call(line, '/v2/bot/message/push', {
      bearer,
      json: message,
      headers: { 'x-line-retry-key': key },
    })
    expect(late.status).toBe(200)
  })

  test('a call that failed after it was accepted is found out by its retry key', async () => {
    await call(line, '/__sim/failures', { json: { pathPrefix: '/v2/bot/message/push', moment: 'after' } })
    const key = '123e4567-e89b-12d3-a456-426614174001'
    expect((await refusalOf(bot.pushMessage({ to: personA, messages: [hello] }, key))).status).toBe(500)
    expect((await refusalOf(bot.pushMessage({ to: personA, messages: [hello] }, key))).status).toBe(409)
  })

  test('a retry key is refused on the other calls', async () => {
    const headers = { 'x-line-retry-key': '123e4567-e89b-12d3-a456-426614174000' }
    expect((await call(line, '/v2/bot/info', { bearer, headers })).status).toBe(400)
  })

  test('multicast skips foreign user IDs', async () => {
    expect(await bot.multicast({ to: [personA, stranger], messages: [hello] })).toMatchObject({})
    expect(line.simulator.state.sentMessages).toMatchObject([{ kind: 'multicast', personId: 'person-a' }])
  })
})

describe('LINE bot profile and information', () => {
  test('a profile is not found for a stranger, a blocker, or without consent', async () => {
    line.control.setRelation(botChannelId, 'person-b', 'blocked')
    line.control.putPerson({ ...line.simulator.state.persons['person-c'], profileConsent: false } as never)
    line.control.setRelation(botChannelId, 'person-c', 'friend')
    for (const userId of [stranger, userIdOf('provider-a', 'person-b'), personC]) {
      expect(await refusalOf(bot.getProfile(userId))).toMatchObject({
        status: 404,
        body: { message: 'Not found' },
      })
    }
    expect(await bot.getProfile(personA)).toMatchObject({
      userId: personA,
      displayName: 'LINE Person A',
      language: 'ja',
    })
  })

  test('the account tells who it is, and that is where webhooks are addressed to', async () => {
    expect(await bot.getBotInfo()).toMatchObject({
      userId: expect.stringMatching(/^U[0-9a-f]{32}$/),
      displayName: 'Official account A',
    })
  })
})

describe('LINE rich menus', () => {
  const definition: messagingApi.RichMenuRequest = {
    size: { width: 2500, height: 843 },
    selected: true,
    name: 'linked',
    chatBarText: 'Menu',
    areas: [
      {
        bounds: { x: 0, y: 0, width: 2500, height: 843 },
        action: { type: 'uri', uri: 'https://example.com/card' },
      },
    ],
  }
  const seen = async (personId: string) =>
    (await call(line, `/__sim/persons/${personId}/rich-menu?channelId=${botChannelId}`)).body.richMenu

  async function createMenu(name: string): Promise<string> {
    const blob = new messagingApi.MessagingApiBlobClient({ channelAccessToken: bearer, baseURL: line.url })
    const { richMenuId } = await bot.createRichMenu({ ...definition, name })
    await blob.setRichMenuImage(
      richMenuId,
      new Blob([new Uint8Array([137, 80, 78, 71])], { type: 'image/png' }),
    )
    return richMenuId
  }

  test('refuses a menu without image, an unknown menu and a malformed user ID', async () => {
    const { richMenuId } = await bot.createRichMenu(definition)
    expect(await refusalOf(bot.linkRichMenuIdToUser(personA, richMenuId))).toMatchObject({
      status: 400,
      body: { message: 'must upload richmenu image before applying it to user' },
    })
    expect((await refusalOf(bot.linkRichMenuIdToUser(personA, 'richmenu-0'))).status).toBe(404)
    const ready = await createMenu('linked')
    expect(await refusalOf(bot.linkRichMenuIdToUser('person-a', ready))).toMatchObject({
      status: 400,
      body: { message: "The value for the 'userId' parameter is invalid" },
    })
    expect(await refusalOf(bot.getRichMenuIdOfUser(personA))).toMatchObject({
      status: 404,
      body: { message: 'the user has no richmenu', details: [] },
    })
  })

  test("a person's own menu comes before the one for everybody", async () => {
    const [everybody, linked] = [await createMenu('everybody'), await createMenu('linked')]
    await bot.setDefaultRichMenu(everybody)
    await bot.linkRichMenuIdToUser(personA, linked)
    expect(await seen('person-a')).toMatchObject({ name: 'linked' })
    expect(await bot.getRichMenuIdOfUser(personA)).toMatchObject({ richMenuId: linked })
    await bot.unlinkRichMenuIdFromUser(personA)
    expect(await seen('person-a')).toMatchObject({ name: 'everybody' })
    await bot.deleteRichMenu(everybody)
    expect(await seen('person-a')).toBeNull()
    expect((await bot.getRichMenuList()).richmenus).toMatchObject([{ richMenuId: linked, name: 'linked' }])
  })

  test('linking to somebody who is no friend answers 200 without effect, alone and in bulk', async () => {
    const richMenuId = await createMenu('linked')
    await bot.linkRichMenuIdToUser(personC, richMenuId)
    await bot.linkRichMenuIdToUsers({ richMenuId, userIds: [personA, personC, stranger] })
    expect(await seen('person-c')).toBeNull()
    expect(await seen('person-a')).toMatchObject({ name: 'linked' })
    await bot.unlinkRichMenuIdFromUsers({ userIds: [personA] })
    expect(await seen('person-a')).toBeNull()
  })
})

test("LINE's documented signature vector agrees with the SDK and the simulator", async () => {
  const { sign } = await import('../../src/demo/line/webhooks.ts')
  const secret = '8c570fa6dd201bb328f1c1eac23a96d8'
  const body = '{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}'
  expect(sign(secret, body)).toBe('GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs=')
  expect(validateSignature(body, secret, sign(secret, body))).toBe(true)
})
