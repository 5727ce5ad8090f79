import bodyParser from '@koa/bodyparser'
import { findConnection } from '../connections/connection.ts'
import { kindOf } from '../connections/kinds.ts'
import type { HttpMiddleware } from '../http/context.ts'
import { Problem } from '../problem.ts'
import type { TripDeps } from './upstream-trip.ts'

const parse = bodyParser({ enableTypes: ['form'], formLimit: '8kb', encoding: 'utf-8' }) as HttpMiddleware

/**
 * An upstream's answer that comes as a form (OAuth 2.0 Form Post Response Mode). It is another site's form, with which
 * browsers send no cookie of ours (SameSite=Lax): nothing is done with it. The browser is sent on to the callback with
 * the same answer and brings the cookie that the trip is bound to.
 */
export function formAnswers({ db, connector }: Pick<TripDeps, 'db' | 'connector'>): HttpMiddleware {
  return async (ctx, next) => {
    const [, id] = /^\/connections\/([a-z][a-z0-9-]{1,30})\/callback$/.exec(ctx.path) ?? []
    if (ctx.method !== 'POST' || id === undefined) return next()
    const connection = await findConnection(db, id)
    if (!connection || !kindOf(connection.kind).answersByForm?.(connection.settings))
      throw new Problem('method_not_allowed', { headers: { Allow: 'GET, HEAD' } })
    if (!ctx.is('urlencoded') || ctx.get('Content-Encoding')) throw new Problem('unsupported_media_type')
    await parse(ctx, async () => {})
    const { body = {} } = ctx.request as { body?: Record<string, unknown> }
    ctx.status = 303
    ctx.set('Cache-Control', 'no-store')
    ctx.redirect(`${ctx.path}?${connector.formToQuery(body)}`)
    return undefined
  }
}
