import Router, { type RouterContext } from '@koa/router'
import { z } from 'zod'
import { getChannelBearer } from './channel-tokens.ts'
import { apiRefusal } from './refusal.ts'
import { readJson } from './request-body.ts'
import {
  findLoginChannel,
  findPerson,
  pictureUrlOf,
  relationOf,
  type Simulator,
  userIdOf,
} from './simulator.ts'
import type { LoginChannel, Person, UserAccessToken } from './state.ts'
import { endAuthorization, getBearer, isLive } from './user-tokens.ts'

/** What a user's access token opens, and the call that ends it for good. */
export function profileRoutes(sim: Simulator): Router {
  const router = new Router()

  const userInfo = (ctx: RouterContext) => {
    const { channel, person, token } = ownerOf(ctx, sim, 'openid')
    const picture = pictureUrlOf(sim, channel.providerId, person)
    ctx.body = {
      sub: userIdOf(channel.providerId, person.id),
      ...(token.scopes.includes('profile') && { name: person.name, ...(picture && { picture }) }),
    }
  }
  router.get('/oauth2/v2.1/userinfo', userInfo)
  router.post('/oauth2/v2.1/userinfo', userInfo)

  router.get('/v2/profile', (ctx) => {
    const { channel, person } = ownerOf(ctx, sim, 'profile')
    ctx.body = publicProfile(sim, channel.providerId, person)
  })

  router.get('/friendship/v1/status', (ctx) => {
    const { channel, person } = ownerOf(ctx, sim, 'profile')
    if (!channel.botChannelId) throw apiRefusal(400, 'There is no login bot linked to this channel.')
    ctx.body = { friendFlag: relationOf(sim, channel.botChannelId, person.id) === 'friend' }
  })

  router.post('/user/v1/deauthorize', async (ctx) => {
    // Short-lived and long-lived channel tokens are not accepted here.
    const { channel } = getChannelBearer(sim, ctx.get('authorization'), ['v2.1', 'stateless'])
    const { userAccessToken = '' } = await readJson(ctx, z.object({ userAccessToken: z.string().optional() }))
    const token = Object.hasOwn(sim.state.accessTokens, userAccessToken)
      ? sim.state.accessTokens[userAccessToken]
      : undefined
    if (!token || !isLive(sim, token) || token.channelId !== channel.id)
      throw apiRefusal(400, 'invalid token')
    endAuthorization(sim, channel.id, token.personId)
    ctx.status = 204
  })

  pictureRoutes(router, sim)
  return router
}

function ownerOf(
  ctx: RouterContext,
  sim: Simulator,
  scope: string,
): { channel: LoginChannel; person: Person; token: UserAccessToken } {
  const token = getBearer(sim, ctx.get('authorization'), scope)
  const [channel, person] = [findLoginChannel(sim, token.channelId), findPerson(sim, token.personId)]
  if (!channel || !person) throw apiRefusal(404, 'Not found')
  return { channel, person, token }
}

export function publicProfile(sim: Simulator, providerId: string, person: Person) {
  const pictureUrl = pictureUrlOf(sim, providerId, person)
  return {
    userId: userIdOf(providerId, person.id),
    displayName: person.name,
    ...(pictureUrl && { pictureUrl }),
    ...(person.statusMessage !== undefined && { statusMessage: person.statusMessage }),
  }
}

/** `/large` and `/small` give thumbnails, as LINE's picture addresses do. */
function pictureRoutes(router: Router, sim: Simulator): void {
  const sizes: Record<string, number> = { large: 200, small: 51 }
  router.get('/profile-images/:userId{/:size}', (ctx) => {
    const { userId = '', size = '' } = ctx.params
    const person = Object.values(sim.state.persons).find((candidate) =>
      Object.keys(sim.state.providers).some((providerId) => userIdOf(providerId, candidate.id) === userId),
    )
    if (!person) throw apiRefusal(404, 'Not found')
    ctx.type = 'image/svg+xml'
    ctx.set('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    ctx.body = portrait(sizes[size] ?? 400, Number.parseInt(userId.slice(1, 4), 16) % 360)
  })
}

function portrait(pixels: number, hue: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${pixels}" height="${pixels}" viewBox="0 0 40 40">
<rect width="40" height="40" fill="hsl(${hue} 45% 80%)"/>
<circle cx="20" cy="15" r="7" fill="hsl(${hue} 45% 35%)"/><path d="M6 40a14 14 0 0 1 28 0z" fill="hsl(${hue} 45% 35%)"/>
</svg>`
}
