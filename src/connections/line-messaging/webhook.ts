import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

/** What of an event is read; events come with more, and LINE may add to them. */
const eventBase = z.object({
  webhookEventId: z.string().min(1).max(100),
  /** Milliseconds. Events may come in another order than they happened. */
  timestamp: z.number().int(),
  mode: z.string(),
  /** `userId` is absent for whoever has not agreed to show a profile; the whole of it is, where a check failed. */
  source: z.object({ type: z.string(), userId: z.string().optional() }).optional(),
  replyToken: z.string().max(200).optional(),
})

const webhookEvent = z.discriminatedUnion('type', [
  eventBase.extend({ type: z.literal('follow') }),
  eventBase.extend({ type: z.literal('unfollow') }),
  eventBase.extend({
    type: z.literal('message'),
    message: z.object({ type: z.string(), text: z.string().optional() }),
  }),
  eventBase.extend({ type: z.literal('postback'), postback: z.object({ data: z.string() }) }),
  eventBase.extend({
    type: z.literal('accountLink'),
    link: z.object({ result: z.enum(['ok', 'failed']), nonce: z.string().max(300) }),
  }),
])
export type WebhookEvent = z.infer<typeof webhookEvent>

const webhook = z.object({ destination: z.string(), events: z.array(z.unknown()).max(1000) })

export interface Webhook {
  destination: string
  /** Those of a type we know; LINE asks to tolerate the others. */
  events: WebhookEvent[]
}

/** Whether LINE sent exactly these bytes: HMAC-SHA-256 with the channel's secret, compared in constant time (Verify webhook signature). */
export function isSignedByLine(secret: string, body: Buffer, signature: string): boolean {
  const expected = createHmac('sha256', secret).update(body).digest()
  const presented = Buffer.from(signature, 'base64')
  return presented.length === expected.length && timingSafeEqual(presented, expected)
}

/** What a webhook says; undefined when it is none. Only for bytes that LINE has signed. */
export function readWebhook(body: Buffer): Webhook | undefined {
  const parsed = webhook.safeParse(parse(body))
  if (!parsed.success) return undefined
  const { destination, events } = parsed.data
  return {
    destination,
    events: events.flatMap((event) => {
      const known = webhookEvent.safeParse(event)
      return known.success ? [known.data] : []
    }),
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

/** What a notice of one event keeps of it; written by us alone, from what `readWebhook` gave. */
export const keptEvent = webhookEvent
