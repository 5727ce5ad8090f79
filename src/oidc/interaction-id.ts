import type { Middleware } from 'koa'
import { routes } from './routes.ts'

const header = 'x-fapi-interaction-id'
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * FAPI 2.0 Implementation Advice section 3.2.1 (2): a resource says the identifier of a call again, so that both sides
 * find it in their logs. A UUID alone: what a header of ours says is not for callers to choose.
 */
export const echoInteractionId: Middleware = async (ctx, next) => {
  const id = ctx.path === routes.userinfo ? ctx.get(header) : ''
  if (uuid.test(id)) ctx.set(header, id)
  await next()
}
