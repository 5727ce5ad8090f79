import bodyParser from '@koa/bodyparser'
import type { HttpMiddleware } from '../http/context.ts'
import { Problem } from '../problem.ts'
import { routes } from './routes.ts'

/** As long an address as servers and proxies take on their way back here. */
const maxLength = 7_000

const parse = bodyParser({ enableTypes: ['form'], formLimit: maxLength, encoding: 'utf-8' }) as HttpMiddleware
const endpoints: readonly string[] = [routes.authorization, routes.end_session]

/**
 * OpenID Connect Core 3.1.2.1 and RP-Initiated Logout 1.0 section 2: requests may come as a form. It is another site's
 * form, with which browsers send no session cookie (SameSite=Lax): taken as it comes, nobody would ever be signed in, and
 * the empty session would replace the member's. The browser is sent on with the same parameters and brings the cookie.
 */
export const postRequests: HttpMiddleware = async (ctx, next) => {
  const path = ctx.path.toLowerCase().replace(/(.)\/$/, '$1')
  if (ctx.method !== 'POST' || !endpoints.includes(path)) return next()
  if (!ctx.is('urlencoded') || ctx.get('Content-Encoding')) throw new Problem('unsupported_media_type')
  await parse(ctx, async () => {})
  // As they were sent, twice if so: what is wrong with them is the engine's to say.
  const parameters = new URLSearchParams((ctx.request as { rawBody?: string }).rawBody ?? '').toString()
  if (parameters.length > maxLength) throw new Problem('payload_too_large')
  ctx.status = 303
  ctx.set('Cache-Control', 'no-store')
  ctx.redirect(`${path}?${parameters}`)
  return undefined
}
