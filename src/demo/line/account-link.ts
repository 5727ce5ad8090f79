import { lifetimeSeconds } from './lifetimes.ts'
import type { LinkToken } from './messaging-state.ts'
import { PageRefusal } from './refusal.ts'
import { findMessagingChannel, nowMs, randomHex, type Simulator } from './simulator.ts'
import type { MessagingChannel, Person } from './state.ts'
import { createEvent, sendEvents } from './webhooks.ts'

export function issueLinkToken(sim: Simulator, channel: MessagingChannel, person: Person): LinkToken {
  const linkToken: LinkToken = {
    token: randomHex(sim, 32),
    channelId: channel.id,
    personId: person.id,
    expiresAtMs: nowMs(sim) + lifetimeSeconds.linkToken * 1000,
  }
  sim.state.linkTokens[linkToken.token] = linkToken
  return linkToken
}

/** Neither an expired nor a used token ever causes an event. */
export function getLinkToken(sim: Simulator, token: string, nonce: string): LinkToken {
  const linkToken = Object.hasOwn(sim.state.linkTokens, token) ? sim.state.linkTokens[token] : undefined
  if (!linkToken || linkToken.usedAtMs !== undefined || linkToken.expiresAtMs <= nowMs(sim)) {
    throw new PageRefusal('linkExpired')
  }
  // Assumption: LINE states the length of a nonce, not what happens to another.
  if (nonce.length < 10 || nonce.length > 255) throw new PageRefusal('invalidNonce')
  return linkToken
}

/**
 * The check that stops a forwarded link: only the person the token was issued for gets `ok`.
 * @see https://developers.line.biz/en/docs/messaging-api/linking-accounts/
 */
export function openAccountLink(
  sim: Simulator,
  person: Person,
  token: string,
  nonce: string,
): 'ok' | 'failed' {
  const linkToken = getLinkToken(sim, token, nonce)
  linkToken.usedAtMs = nowMs(sim)
  const result = linkToken.personId === person.id ? 'ok' : 'failed'
  const channel = findMessagingChannel(sim, linkToken.channelId)
  if (channel) {
    // `source` and `replyToken` are absent from a failed check.
    const event = createEvent(sim, channel, 'accountLink', result === 'ok' ? person : undefined, true)
    sendEvents(sim, channel, [{ ...event, link: { result, nonce } }])
  }
  return result
}
