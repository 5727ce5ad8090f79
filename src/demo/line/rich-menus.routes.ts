import Router, { type RouterContext } from '@koa/router'
import { z } from 'zod'
import { getMessagingBearer } from './messaging-bearer.ts'
import type { RichMenu } from './messaging-state.ts'
import { apiRefusal, Refusal } from './refusal.ts'
import { readBytes, readJson } from './request-body.ts'
import { findPersonByUserId, randomHex, relationOf, type Simulator } from './simulator.ts'
import type { MessagingChannel } from './state.ts'

const boundsSchema = z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() })

const richMenuSchema = z.looseObject({
  size: z.object({ width: z.number().int().min(800).max(2500), height: z.number().int().min(250) }),
  selected: z.boolean(),
  name: z.string().min(1).max(300),
  chatBarText: z.string().min(1).max(14),
  areas: z.array(z.object({ bounds: boundsSchema, action: z.looseObject({ type: z.string() }) })).max(20),
})

const userIdPattern = /^U[0-9a-f]{32}$/

/**
 * Rich menus, for everybody and per person. The data host is the same origin here.
 * @see https://developers.line.biz/en/docs/messaging-api/use-per-user-rich-menus/
 */
export function richMenuRoutes(sim: Simulator): Router {
  const router = new Router({ prefix: '/v2/bot' })
  menuRoutes(router, sim)
  defaultRoutes(router, sim)
  personRoutes(router, sim)
  bulkRoutes(router, sim)
  return router
}

function menuRoutes(router: Router, sim: Simulator): void {
  router.post('/richmenu', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const definition = await readJson(ctx, richMenuSchema)
    const richMenuId = `richmenu-${randomHex(sim, 32)}`
    sim.state.richMenus[richMenuId] = { richMenuId, channelId: channel.id, definition }
    ctx.body = { richMenuId }
  })

  router.get('/richmenu/list', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const menus = Object.values(sim.state.richMenus).filter(({ channelId }) => channelId === channel.id)
    ctx.body = { richmenus: menus.map(({ richMenuId, definition }) => ({ richMenuId, ...definition })) }
  })

  router.get('/richmenu/:richMenuId', (ctx) => {
    const { richMenuId, definition } = getMenu(ctx, sim, getMessagingBearer(ctx, sim))
    ctx.body = { richMenuId, ...definition }
  })

  router.delete('/richmenu/:richMenuId', (ctx) => {
    const { richMenuId } = getMenu(ctx, sim, getMessagingBearer(ctx, sim))
    const { richMenus, personRichMenus, defaultRichMenus } = sim.state
    delete richMenus[richMenuId]
    for (const links of [personRichMenus, defaultRichMenus]) {
      for (const [key, linked] of Object.entries(links)) if (linked === richMenuId) delete links[key]
    }
    ctx.body = {}
  })

  router.post('/richmenu/:richMenuId/content', async (ctx) => {
    const menu = getMenu(ctx, sim, getMessagingBearer(ctx, sim))
    const type = ctx.get('content-type')
    if (!['image/jpeg', 'image/png'].includes(type)) throw apiRefusal(400, 'Image data is required')
    const bytes = await readBytes(ctx)
    if (bytes.length === 0 || bytes.length > 1024 * 1024)
      throw apiRefusal(400, 'The image must be up to 1 MB')
    if (menu.image) throw apiRefusal(400, 'An image has already been uploaded to the richmenu')
    menu.image = { type, base64: bytes.toString('base64') }
    ctx.body = {}
  })

  router.get('/richmenu/:richMenuId/content', (ctx) => {
    const { image } = getMenu(ctx, sim, getMessagingBearer(ctx, sim))
    if (!image) throw apiRefusal(404, 'Not found')
    ctx.type = image.type
    ctx.body = Buffer.from(image.base64, 'base64')
  })
}

function defaultRoutes(router: Router, sim: Simulator): void {
  router.post('/user/all/richmenu/:richMenuId', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    sim.state.defaultRichMenus[channel.id] = getMenuWithImage(ctx, sim, channel).richMenuId
    ctx.body = {}
  })

  router.get('/user/all/richmenu', (ctx) => {
    const richMenuId = sim.state.defaultRichMenus[getMessagingBearer(ctx, sim).id]
    if (!richMenuId) throw new Refusal(404, { message: 'no default richmenu', details: [] })
    ctx.body = { richMenuId }
  })

  router.delete('/user/all/richmenu', (ctx) => {
    delete sim.state.defaultRichMenus[getMessagingBearer(ctx, sim).id]
    ctx.body = {}
  })
}

function personRoutes(router: Router, sim: Simulator): void {
  router.post('/user/:userId/richmenu/:richMenuId', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const userId = getUserId(ctx)
    link(sim, channel, userId, getMenuWithImage(ctx, sim, channel).richMenuId)
    ctx.body = {}
  })

  router.get('/user/:userId/richmenu', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const person = findPersonByUserId(sim, channel.providerId, getUserId(ctx))
    const richMenuId = sim.state.personRichMenus[`${channel.id}:${person?.id}`]
    if (!richMenuId) throw new Refusal(404, { message: 'the user has no richmenu', details: [] })
    ctx.body = { richMenuId }
  })

  router.delete('/user/:userId/richmenu', (ctx) => {
    unlink(sim, getMessagingBearer(ctx, sim), getUserId(ctx))
    ctx.body = {}
  })
}

const userIdsSchema = z.array(z.string().regex(userIdPattern)).min(1).max(500)

function bulkRoutes(router: Router, sim: Simulator): void {
  router.post('/richmenu/bulk/link', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const { richMenuId, userIds } = await readJson(
      ctx,
      z.object({ richMenuId: z.string(), userIds: userIdsSchema }),
    )
    const menu = requireImage(findMenu(sim, channel, richMenuId))
    for (const userId of userIds) link(sim, channel, userId, menu.richMenuId)
    ctx.status = 202
    ctx.body = {}
  })

  router.post('/richmenu/bulk/unlink', async (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const { userIds } = await readJson(ctx, z.object({ userIds: userIdsSchema }))
    for (const userId of userIds) unlink(sim, channel, userId)
    ctx.status = 202
    ctx.body = {}
  })
}

/** LINE answers 200 without effect where the ID is foreign, or the person no friend. */
function link(sim: Simulator, channel: MessagingChannel, userId: string, richMenuId: string): void {
  const person = findPersonByUserId(sim, channel.providerId, userId)
  if (!person || relationOf(sim, channel.id, person.id) !== 'friend') return
  sim.state.personRichMenus[`${channel.id}:${person.id}`] = richMenuId
}

function unlink(sim: Simulator, channel: MessagingChannel, userId: string): void {
  const person = findPersonByUserId(sim, channel.providerId, userId)
  delete sim.state.personRichMenus[`${channel.id}:${person?.id}`]
}

function getUserId(ctx: RouterContext): string {
  const { userId = '' } = ctx.params
  if (!userIdPattern.test(userId)) throw apiRefusal(400, "The value for the 'userId' parameter is invalid")
  return userId
}

function getMenu(ctx: RouterContext, sim: Simulator, channel: MessagingChannel): RichMenu {
  return findMenu(sim, channel, ctx.params.richMenuId ?? '')
}

function getMenuWithImage(ctx: RouterContext, sim: Simulator, channel: MessagingChannel): RichMenu {
  return requireImage(getMenu(ctx, sim, channel))
}

function findMenu(sim: Simulator, channel: MessagingChannel, richMenuId: string): RichMenu {
  const menu = Object.hasOwn(sim.state.richMenus, richMenuId) ? sim.state.richMenus[richMenuId] : undefined
  if (menu?.channelId !== channel.id) throw apiRefusal(404, 'Not found')
  return menu
}

function requireImage(menu: RichMenu): RichMenu {
  if (!menu.image) throw apiRefusal(400, 'must upload richmenu image before applying it to user')
  return menu
}

/** What a person sees: their own menu before the one for everybody. */
export function richMenuOf(sim: Simulator, channelId: string, personId: string): RichMenu | undefined {
  const { richMenus, personRichMenus, defaultRichMenus } = sim.state
  return richMenus[personRichMenus[`${channelId}:${personId}`] ?? defaultRichMenus[channelId] ?? '']
}
