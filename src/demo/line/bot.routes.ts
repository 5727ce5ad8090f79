import Router from '@koa/router'
import { z } from 'zod'
import { getMessagingBearer } from './messaging-bearer.ts'
import { publicProfile } from './profile.routes.ts'
import { apiRefusal } from './refusal.ts'
import { readJson } from './request-body.ts'
import { botUserIdOf, findPersonByUserId, nowMs, relationOf, type Simulator } from './simulator.ts'
import { attempt } from './webhooks.ts'

/** What an official account can read about a person and itself, and its webhook address. */
export function botRoutes(sim: Simulator): Router {
  const router = new Router()

  router.get('/v2/bot/profile/:userId', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const person = findPersonByUserId(sim, channel.providerId, ctx.params.userId ?? '')
    const isFriend = person && relationOf(sim, channel.id, person.id) === 'friend'
    if (!person?.profileConsent || !isFriend) throw apiRefusal(404, 'Not found')
    ctx.body = { ...publicProfile(sim, channel.providerId, person), language: person.language }
  })

  router.get('/v2/bot/info', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    ctx.body = {
      userId: botUserIdOf(channel.id),
      basicId: channel.basicId,
      displayName: channel.name,
      chatMode: 'bot',
      markAsReadMode: 'auto',
    }
  })

  webhookEndpointRoutes(router, sim)
  return router
}

const endpointSchema = z.url({ protocol: /^https?$/ }).max(500)

function webhookEndpointRoutes(router: Router, sim: Simulator): void {
  router.get('/v2/bot/channel/webhook/endpoint', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    if (!channel.webhookUrl) throw apiRefusal(404, 'Not found')
    ctx.body = { endpoint: channel.webhookUrl, active: channel.webhookOn }
  })

  router.put('/v2/bot/channel/webhook/endpoint', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    // LINE takes https alone; here http is taken too, for servers on the same machine.
    const { endpoint } = await readJson(ctx, z.object({ endpoint: endpointSchema }))
    channel.webhookUrl = endpoint
    ctx.body = {}
  })

  router.post('/v2/bot/channel/webhook/test', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const { endpoint = channel.webhookUrl } = await readJson(
      ctx,
      z.object({ endpoint: endpointSchema.optional() }),
    )
    if (!endpoint) throw apiRefusal(400, 'The webhook endpoint is not set')
    const { reason, status } = await attempt(sim, channel, endpoint, [], false)
    ctx.body = {
      success: reason === 'OK',
      timestamp: new Date(nowMs(sim)).toISOString(),
      statusCode: status,
      reason,
      detail: String(status),
    }
  })
}
