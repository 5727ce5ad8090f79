import Router, { type RouterContext } from '@koa/router'
import { z } from 'zod'
import { type Control, getPerson } from './control.ts'
import { apiRefusal } from './refusal.ts'
import { readJson } from './request-body.ts'
import { richMenuOf } from './rich-menus.routes.ts'
import {
  channelSchema,
  personSchema,
  providerSchema,
  relationSchema,
  seedSchema,
  settingsSchema,
} from './seed.ts'
import { findChannel, type Simulator, userIdOf } from './simulator.ts'
import type { Channel, Person } from './state.ts'

const planSchema = z.object({
  allow: z.boolean(),
  email: z.boolean().default(true),
  addFriend: z.boolean().default(false),
})

const failureSchema = z.object({
  method: z.string().optional(),
  pathPrefix: z.string().startsWith('/'),
  remaining: z.number().int().positive().default(1),
  /** 0 only slows the call down. */
  status: z.union([z.literal(0), z.number().int().min(400).max(599)]).default(500),
  moment: z.enum(['before', 'after']).default('before'),
  delayMs: z.number().int().min(0).max(60_000).default(0),
  resetConnection: z.boolean().default(false),
})

const autoLoginSchema = z.object({ autoLogin: z.enum(['mobile', 'any']).default('any') })

/** The simulator's own API, never on a path of LINE's. */
export function controlRoutes(sim: Simulator, control: Control): Router {
  const router = new Router({ prefix: '/__sim' })
  router.use(requireJson)
  worldRoutes(router, sim, control)
  personRoutes(router, sim, control)
  recordRoutes(router, sim)
  messagingRoutes(router, sim, control)

  router.get('/failures', (ctx) => {
    ctx.body = sim.state.failures
  })
  router.post('/failures', async (ctx) => {
    control.fail(await readJson(ctx, failureSchema))
    ctx.status = 204
  })
  router.delete('/failures', (ctx) => {
    control.clearFailures()
    ctx.status = 204
  })
  return router
}

/** No page of another origin may steer the simulator: browsers ask first before they send JSON. */
async function requireJson(ctx: RouterContext, next: () => Promise<unknown>): Promise<void> {
  if (ctx.method === 'POST' && !ctx.get('content-type').startsWith('application/json')) {
    throw apiRefusal(415, 'Send application/json')
  }
  await next()
}

function worldRoutes(router: Router, sim: Simulator, control: Control): void {
  router.post('/reset', async (ctx) => {
    const { seed } = await readJson(ctx, z.object({ seed: seedSchema.optional() }))
    await control.reset(seed)
    ctx.status = 204
  })
  router.get('/clock', (ctx) => {
    ctx.body = { now: control.clock() }
  })
  router.post('/clock/advance', async (ctx) => {
    const { seconds } = await readJson(ctx, z.object({ seconds: z.number() }))
    ctx.body = { now: control.advanceClock(seconds) }
  })
  router.get('/settings', (ctx) => {
    ctx.body = sim.state.settings
  })
  router.patch('/settings', async (ctx) => {
    const partial = await readJson(ctx, z.record(z.string(), z.unknown()))
    const settings = settingsSchema.safeParse({ ...sim.state.settings, ...partial })
    if (!settings.success) throw apiRefusal(400, z.prettifyError(settings.error))
    ctx.body = control.configure(settings.data)
  })
  router.post('/signing-keys', async (ctx) => {
    ctx.body = { kid: await control.addSigningKey() }
  })
  router.post('/providers', async (ctx) => {
    ctx.body = control.putProvider(await readJson(ctx, providerSchema))
  })
  router.get('/channels', (ctx) => {
    ctx.body = Object.values(sim.state.channels)
  })
  router.post('/channels', async (ctx) => {
    ctx.body = control.putChannel(await readJson(ctx, channelSchema))
  })
  router.patch('/channels/:id', async (ctx) => {
    const partial = await readJson(ctx, z.record(z.string(), z.unknown()))
    const channel = channelSchema.safeParse({ ...getChannel(sim, ctx.params.id), ...partial })
    if (!channel.success) throw apiRefusal(400, z.prettifyError(channel.error))
    ctx.body = control.putChannel(channel.data)
  })
}

function personRoutes(router: Router, sim: Simulator, control: Control): void {
  router.get('/persons', (ctx) => {
    ctx.body = Object.values(sim.state.persons).map((person) => describePerson(sim, person))
  })
  router.post('/persons', async (ctx) => {
    ctx.body = describePerson(sim, control.putPerson(await readJson(ctx, personSchema)))
  })
  router.get('/persons/:id', (ctx) => {
    ctx.body = describePerson(sim, getPerson(sim, ctx.params.id))
  })
  router.post('/persons/:id/app-login', async (ctx) => {
    control.signInToApp(getPerson(sim, ctx.params.id).id, (await readJson(ctx, autoLoginSchema)).autoLogin)
    ctx.status = 204
  })
  router.post('/persons/:id/app-logout', (ctx) => {
    if (sim.state.settings.appPersonId === getPerson(sim, ctx.params.id).id) control.signInToApp()
    ctx.status = 204
  })
  router.post('/persons/:id/next-consent', async (ctx) => {
    control.planConsent(getPerson(sim, ctx.params.id).id, await readJson(ctx, planSchema))
    ctx.status = 204
  })
  router.post('/persons/:id/revoke', async (ctx) => {
    const { channelId } = await readJson(ctx, z.object({ channelId: z.string() }))
    control.revokeApp(getChannel(sim, channelId).id, getPerson(sim, ctx.params.id).id)
    ctx.status = 204
  })
  router.post('/relations', async (ctx) => {
    const { channelId, personId, relation } = await readJson(ctx, relationSchema)
    const [channel, person] = [getChannel(sim, channelId), getPerson(sim, personId)]
    ctx.body = { changed: control.setRelation(channel.id, person.id, relation) }
  })
}

function recordRoutes(router: Router, sim: Simulator): void {
  router.get('/codes', (ctx) => {
    ctx.body = Object.values(sim.state.codes)
  })
  router.get('/tokens', (ctx) => {
    const { accessTokens, refreshTokens, channelTokens } = sim.state
    ctx.body = {
      access: Object.values(accessTokens),
      refresh: Object.values(refreshTokens),
      channel: Object.values(channelTokens),
    }
  })
}

const webhookSchema = z.object({
  channelId: z.string(),
  events: z.array(z.looseObject({})),
  duplicate: z.boolean().default(false),
  reorder: z.boolean().default(false),
  wrongSignature: z.boolean().default(false),
  alteredBody: z.boolean().default(false),
})

function messagingRoutes(router: Router, sim: Simulator, control: Control): void {
  router.get('/messages', (ctx) => {
    ctx.body = sim.state.sentMessages
  })
  router.get('/webhooks', (ctx) => {
    ctx.body = sim.state.webhookAttempts
  })
  router.post('/webhooks', async (ctx) => {
    const { channelId, events, ...faults } = await readJson(ctx, webhookSchema)
    control.sendWebhook(channelId, events, faults)
    ctx.status = 202
    ctx.body = {}
  })
  router.get('/persons/:id/rich-menu', (ctx) => {
    const channelId = String(ctx.query.channelId)
    ctx.body = { richMenu: richMenuOf(sim, channelId, getPerson(sim, ctx.params.id).id)?.definition ?? null }
  })
  router.post('/persons/:id/account-link', async (ctx) => {
    const { linkToken, nonce } = await readJson(ctx, z.object({ linkToken: z.string(), nonce: z.string() }))
    ctx.body = { result: control.openAccountLink(ctx.params.id ?? '', linkToken, nonce) }
  })
  router.post('/persons/:id/liff-tokens', async (ctx) => {
    const { liffId } = await readJson(ctx, z.object({ liffId: z.string() }))
    ctx.body = await control.mintLiffTokens(ctx.params.id ?? '', liffId)
  })
}

function getChannel(sim: Simulator, id: string | undefined): Channel {
  const channel = findChannel(sim, id)
  if (!channel) throw apiRefusal(404, 'There is no such channel')
  return channel
}

function describePerson(sim: Simulator, person: Person) {
  const userIds = Object.keys(sim.state.providers).map((id) => [id, userIdOf(id, person.id)])
  const ofPerson = Object.entries(sim.state.relations).filter(([key]) => key.endsWith(`:${person.id}`))
  return {
    ...person,
    userIds: Object.fromEntries(userIds),
    relations: Object.fromEntries(ofPerson.map(([key, relation]) => [key.split(':')[0], relation])),
    consents: Object.keys(sim.state.consents)
      .filter((key) => key.endsWith(`:${person.id}`))
      .map((key) => key.split(':')[0]),
  }
}
