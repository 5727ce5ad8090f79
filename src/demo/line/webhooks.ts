import { createHmac } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { WebhookAttempt, WebhookEvent, WebhookReason } from './messaging-state.ts'
import { botUserIdOf, nowMs, randomHex, type Simulator, userIdOf } from './simulator.ts'
import type { MessagingChannel, Person } from './state.ts'

/** Ways in which a delivery can be wrong on purpose, to try a receiver. */
export type DeliveryFaults = {
  duplicate: boolean
  reorder: boolean
  wrongSignature: boolean
  alteredBody: boolean
}

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A ULID: 48 bits of time, 80 bits of chance, sortable as text. */
function createEventId(sim: Simulator): string {
  const bits = BigInt(`0x${nowMs(sim).toString(16)}${randomHex(sim, 20)}`)
  return Array.from(
    { length: 26 },
    (_, index) => crockford[Number((bits >> BigInt(5 * (25 - index))) & 31n)],
  ).join('')
}

/** The members every event has; `repliable` ones bring a reply token. */
export function createEvent(
  sim: Simulator,
  channel: MessagingChannel,
  type: string,
  person: Person | undefined,
  repliable: boolean,
): WebhookEvent {
  const userId = person && userIdOf(channel.providerId, person.id)
  return {
    type,
    mode: 'active',
    timestamp: nowMs(sim),
    // Without the person's consent to profile access the user ID is left out.
    ...(person && { source: { type: 'user', ...(person.profileConsent && { userId }) } }),
    webhookEventId: createEventId(sim),
    deliveryContext: { isRedelivery: false },
    ...(person && repliable && { replyToken: issueReplyToken(sim, channel, person) }),
  }
}

function issueReplyToken(sim: Simulator, channel: MessagingChannel, person: Person): string {
  const token = randomHex(sim, 32)
  const issuedAtMs = nowMs(sim)
  sim.state.replyTokens[token] = {
    token,
    channelId: channel.id,
    personId: person.id,
    eventAtMs: issuedAtMs,
    deliveredAtMs: issuedAtMs,
  }
  return token
}

/**
 * Delivers in the background, and again by the schedule where the channel has redelivery on.
 * @see https://developers.line.biz/en/docs/messaging-api/receiving-messages/
 */
export function sendEvents(
  sim: Simulator,
  channel: MessagingChannel,
  events: WebhookEvent[],
  faults: Partial<DeliveryFaults> = {},
): void {
  if (!channel.webhookUrl || !channel.webhookOn) return
  const ordered = faults.reorder ? events.toReversed() : events
  const copies = faults.duplicate ? 2 : 1
  for (let copy = 0; copy < copies; copy++)
    sim.inBackground(deliver(sim, channel, channel.webhookUrl, ordered, faults))
}

async function deliver(
  sim: Simulator,
  channel: MessagingChannel,
  url: string,
  events: WebhookEvent[],
  faults: Partial<DeliveryFaults>,
): Promise<void> {
  const first = await attempt(sim, channel, url, events, false, faults)
  if (first.reason === 'OK' || !channel.redelivery) return
  const again = events.map((event) => ({ ...event, deliveryContext: { isRedelivery: true } }))
  for (const waitMs of sim.state.settings.redeliveryDelaysMs) {
    await delay(waitMs, undefined, { signal: sim.stopped })
    for (const event of events) renewReplyToken(sim, event)
    if ((await attempt(sim, channel, url, again, true, faults)).reason === 'OK') return
  }
}

/** A redelivered event may be replied to for a minute from then. */
function renewReplyToken(sim: Simulator, event: WebhookEvent): void {
  const token = sim.state.replyTokens[String(event.replyToken)]
  if (token) token.deliveredAtMs = nowMs(sim)
}

/** One signed request; what became of it is recorded, whatever that was. */
export async function attempt(
  sim: Simulator,
  channel: MessagingChannel,
  url: string,
  events: WebhookEvent[],
  isRedelivery: boolean,
  faults: Partial<DeliveryFaults> = {},
): Promise<WebhookAttempt> {
  const exact = JSON.stringify({ destination: botUserIdOf(channel.id), events })
  const signature = sign(faults.wrongSignature ? 'another secret' : channel.secret, exact)
  const body = faults.alteredBody ? exact.replace('}', ' }') : exact
  const sentAtMs = nowMs(sim)
  const { reason, status } = await post(sim, url, body, signature)
  const record = { channelId: channel.id, url, body, signature, sentAtMs, isRedelivery, reason, status }
  sim.state.webhookAttempts.push(record)
  return record
}

/** Over the exact bytes, with the secret of the messaging channel. */
export function sign(secret: string, body: string): string {
  return createHmac('sha256', secret).update(body).digest('base64')
}

async function post(
  sim: Simulator,
  url: string,
  body: string,
  signature: string,
): Promise<{ reason: WebhookReason; status: number }> {
  const timeout = AbortSignal.timeout(sim.state.settings.webhookTimeoutMs)
  try {
    const { status, ok } = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8', 'x-line-signature': signature },
      body,
      redirect: 'manual',
      signal: AbortSignal.any([timeout, sim.stopped]),
    })
    return { reason: ok ? 'OK' : 'ERROR_STATUS_CODE', status }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { reason: timeout.aborted ? 'REQUEST_TIMEOUT' : 'COULD_NOT_CONNECT', status: 0 }
  }
}
