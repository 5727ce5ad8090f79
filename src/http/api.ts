import bodyParser from '@koa/bodyparser'
import Router from '@koa/router'
import { Problem } from '../problem.ts'
import type { HttpMiddleware, HttpState } from './context.ts'

/**
 * Requests of programs to our own API: JSON in, JSON out, problems as RFC 9457 has them. There is no cookie in it and no
 * form, so none of what guards forms; each route says whom it lets in.
 */
export function apiRequests(routers: readonly Router<HttpState>[]): HttpMiddleware {
  const api = new Router<HttpState>()
  api.use(refuseCompressed)
  api.use(bodyParser({ enableTypes: ['json'], jsonLimit: '32kb', encoding: 'utf-8' }) as HttpMiddleware)
  for (const router of routers) api.use(router.routes())
  const [answer, refuseOthers] = [api.routes() as HttpMiddleware, api.allowedMethods() as HttpMiddleware]
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/api/')) return next()
    ctx.request.headers.accept = 'application/json'
    ctx.set('Cache-Control', 'no-store')
    return answer(ctx, async () => refuseOthers(ctx, async () => undefined))
  }
}

const refuseCompressed: HttpMiddleware = (ctx, next) => {
  if (ctx.get('Content-Encoding')) throw new Problem('unsupported_media_type')
  return next()
}
