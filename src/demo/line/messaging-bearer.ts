import type { Context } from 'koa'
import { getChannelBearer } from './channel-tokens.ts'
import { apiRefusal, authenticationRefusal } from './refusal.ts'
import type { Simulator } from './simulator.ts'
import type { MessagingChannel } from './state.ts'

/** The official account that calls the Messaging API, with any kind of channel access token. */
export function getMessagingBearer(ctx: Context, sim: Simulator, retryKeyAllowed = false): MessagingChannel {
  const { channel } = getChannelBearer(sim, ctx.get('authorization'), [
    'v2.1',
    'stateless',
    'short-lived',
    'long-lived',
  ])
  if (channel.kind !== 'messaging') throw authenticationRefusal('the channel has no Messaging API')
  if (!retryKeyAllowed && ctx.get('x-line-retry-key') !== '') {
    throw apiRefusal(400, 'The retry key cannot be used with this endpoint')
  }
  return channel
}
