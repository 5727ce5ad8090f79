import bodyParser from '@koa/bodyparser'
import { Problem } from '../problem.ts'
import type { HttpMiddleware } from './context.ts'
import { refuseCrossSite } from './csrf.ts'
import { answerProblems } from './errors.ts'
import { health, type Probe } from './health.ts'
import { refuseMisdirected } from './origin.ts'
import { stylesheetPath, stylesheetText } from './render.ts'
import { type RequestOptions, requestState } from './request-state.ts'
import { securityHeaders } from './security-headers.ts'

export interface ShellOptions extends RequestOptions {
  probes: Record<string, Probe>
  isDraining: () => boolean
}

/** What every request passes, in this order; the order is part of the security. */
export function shell({ probes, isDraining, ...options }: ShellOptions): HttpMiddleware[] {
  const { issuer } = options.site
  return [
    describeRequest(options),
    answerProblems(),
    securityHeaders(issuer),
    health(probes, isDraining),
    refuseMisdirected(issuer),
    serveStylesheet,
  ]
}

/** What a request to our own pages passes besides; the engine reads its requests itself and has checks of its own. */
export function forms(issuer: string): HttpMiddleware[] {
  return [
    refuseCompressed,
    bodyParser({ enableTypes: ['form'], formLimit: '32kb', encoding: 'utf-8' }) as HttpMiddleware,
    refuseCrossSite(issuer),
  ]
}

/** Forms are small and browsers send them as they are; what claims to be compressed is not unpacked. */
const refuseCompressed: HttpMiddleware = (ctx, next) => {
  if (ctx.get('Content-Encoding')) throw new Problem('unsupported_media_type')
  return next()
}

/** Names the request, reads the clock once, and logs the outcome: never a query, a body or a header. */
function describeRequest({ log, ...options }: RequestOptions): HttpMiddleware {
  // Each of its fields is known to hold no secret, and looking for some would be the dearest part of a short request.
  const outcomes = log.child({}, { redact: [] })
  return async (ctx, next) => {
    const startedAt = performance.now()
    const state = requestState(ctx, { log, ...options })
    ctx.state = state
    ctx.set('X-Request-Id', state.requestId)
    await next()
    const { requestId } = state
    const ms = Math.round(performance.now() - startedAt)
    outcomes.info(
      { requestId, method: ctx.method, path: loggablePath(ctx.path), status: ctx.status, ms },
      'request',
    )
  }
}

/** Identifiers in a path (interaction, authorization resume, link transaction) open a flow in progress: their tails are cut. */
function loggablePath(path: string): string {
  return path.replace(/\/([A-Za-z0-9_-]{4})[A-Za-z0-9_-]{17,}/g, '/$1…')
}

const serveStylesheet: HttpMiddleware = (ctx, next) => {
  if (ctx.path !== stylesheetPath) return next()
  ctx.type = 'text/css; charset=utf-8'
  ctx.set('Cache-Control', 'public, max-age=31536000, immutable')
  ctx.body = stylesheetText
  return undefined
}
