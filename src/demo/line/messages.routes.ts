import Router, { type RouterContext } from '@koa/router'
import { z } from 'zod'
import { lifetimeSeconds } from './lifetimes.ts'
import { getMessagingBearer } from './messaging-bearer.ts'
import type { SentMessage, SentMessageId } from './messaging-state.ts'
import { apiRefusal, Refusal } from './refusal.ts'
import { readJson } from './request-body.ts'
import { findPersonByUserId, nowMs, randomHex, relationOf, type Simulator } from './simulator.ts'
import type { MessagingChannel, Person } from './state.ts'

const userIdSchema = z.string().regex(/^U[0-9a-f]{32}$/)

const messageSchema = z
  .looseObject({ type: z.string().min(1) })
  .refine(
    ({ type, text }) =>
      type !== 'text' || (typeof text === 'string' && text.length > 0 && text.length <= 5000),
    {
      path: ['text'],
      message: 'Must be between 1 and 5000 characters',
    },
  )

const messagesSchema = z.array(messageSchema).min(1).max(5)

/** Reply, push and multicast: what LINE accepts, and what it silently does not deliver. */
export function messageRoutes(sim: Simulator): Router {
  const router = new Router()

  router.post('/v2/bot/message/reply', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const { replyToken, messages } = await readJson(
      ctx,
      z.object({ replyToken: z.string(), messages: messagesSchema }),
    )
    const person = useReplyToken(sim, channel, replyToken)
    ctx.body = { sentMessages: store(sim, channel, person, 'reply', messages) }
  })

  router.post('/v2/bot/message/push', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim, true)
    assertRetryKeyUnused(ctx, sim, channel)
    const { to, messages } = await readJson(ctx, z.object({ to: userIdSchema, messages: messagesSchema }))
    const person = findPersonByUserId(sim, channel.providerId, to)
    if (!person) throw apiRefusal(400, 'Failed to send messages')
    const sentMessages = store(sim, channel, person, 'push', messages)
    acceptRetryKey(ctx, sim, channel, sentMessages)
    ctx.body = { sentMessages }
  })

  router.post('/v2/bot/message/multicast', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim, true)
    assertRetryKeyUnused(ctx, sim, channel)
    const schema = z.object({ to: z.array(userIdSchema).min(1).max(500), messages: messagesSchema })
    const { to, messages } = await readJson(ctx, schema)
    for (const person of to.map((userId) => findPersonByUserId(sim, channel.providerId, userId))) {
      if (person) store(sim, channel, person, 'multicast', messages)
    }
    acceptRetryKey(ctx, sim, channel, [])
    ctx.body = {}
  })
  return router
}

/** Blocked or no friend: LINE answers 200 all the same, and nothing arrives. */
function store(
  sim: Simulator,
  channel: MessagingChannel,
  person: Person,
  kind: SentMessage['kind'],
  messages: z.output<typeof messagesSchema>,
): SentMessageId[] {
  return messages.map((message) => {
    const id = BigInt(`0x${randomHex(sim, 14)}`)
      .toString()
      .padStart(18, '4')
    sim.state.sentMessages.push({
      id,
      kind,
      channelId: channel.id,
      personId: person.id,
      message,
      delivered: relationOf(sim, channel.id, person.id) === 'friend',
      sentAtMs: nowMs(sim),
    })
    return { id, ...(message.type === 'text' && { quoteToken: randomHex(sim, 64) }) }
  })
}

/** Once, within a minute of the (re)delivery, and never later than 20 minutes after the event. */
function useReplyToken(sim: Simulator, channel: MessagingChannel, sent: string): Person {
  const token = Object.hasOwn(sim.state.replyTokens, sent) ? sim.state.replyTokens[sent] : undefined
  const person = token && sim.state.persons[token.personId]
  const isUsable =
    token !== undefined &&
    token.channelId === channel.id &&
    token.usedAtMs === undefined &&
    nowMs(sim) - token.deliveredAtMs < lifetimeSeconds.replyToken * 1000 &&
    nowMs(sim) - token.eventAtMs < lifetimeSeconds.replyTokenAfterEvent * 1000
  if (!isUsable || !person) throw apiRefusal(400, 'Invalid reply token')
  token.usedAtMs = nowMs(sim)
  return person
}

/**
 * An accepted key answers 409 with what the first request sent.
 * @see https://developers.line.biz/en/docs/messaging-api/retrying-api-request/
 */
function assertRetryKeyUnused(ctx: RouterContext, sim: Simulator, channel: MessagingChannel): void {
  const key = ctx.get('x-line-retry-key')
  if (key === '') return
  if (!z.guid().safeParse(key).success) throw apiRefusal(400, 'The retry key is invalid')
  const accepted = sim.state.retryKeys[`${channel.id}:${key}`]
  if (!accepted || nowMs(sim) - accepted.acceptedAtMs >= lifetimeSeconds.retryKey * 1000) return
  throw new Refusal(
    409,
    { message: 'The retry key is already accepted', sentMessages: accepted.sentMessages },
    { 'x-line-accepted-request-id': accepted.requestId },
  )
}

function acceptRetryKey(
  ctx: RouterContext,
  sim: Simulator,
  channel: MessagingChannel,
  sentMessages: SentMessageId[],
): void {
  const key = ctx.get('x-line-retry-key')
  if (key === '') return
  const requestId = ctx.response.get('x-line-request-id')
  sim.state.retryKeys[`${channel.id}:${key}`] = { requestId, acceptedAtMs: nowMs(sim), sentMessages }
}
