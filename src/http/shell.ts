import bodyParser from '@koa/bodyparser'
import { Problem } from '../problem.ts'
import type { Random } from '../security/random.ts'
import type { Logger } from '../telemetry/logger.ts'
import { identifyBrowser } from './browser.ts'
import type { HttpMiddleware, Site } from './context.ts'
import { refuseCrossSite } from './csrf.ts'
import { answerProblems } from './errors.ts'
import { health, type Probe } from './health.ts'
import { translator } from './i18n.ts'
import { localeOf } from './locale.ts'
import { refuseMisdirected } from './origin.ts'
import { stylesheetPath, stylesheetText } from './render.ts'
import { securityHeaders } from './security-headers.ts'

export interface ShellOptions {
  site: Site
  random: Random
  now: () => Date
  log: Logger
  probes: Record<string, Probe>
  isDraining: () => boolean
}

/** What every request passes, in this order; the order is part of the security. */
export function shell({ site, random, now, log, probes, isDraining }: ShellOptions): HttpMiddleware[] {
  return [
    describeRequest(site, random, now, log),
    // Every page needs it, those of refusals too.
    identifyBrowser(site.issuer, random),
    answerProblems(),
    securityHeaders(site.issuer, random),
    health(probes, isDraining),
    refuseMisdirected(site.issuer),
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

/** Names the request, reads the clock once, chooses the language, and logs the outcome: never a query, a body or a header. */
function describeRequest(site: Site, random: Random, now: () => Date, log: Logger): HttpMiddleware {
  return async (ctx, next) => {
    const requestId = random.uuid()
    const startedAt = performance.now()
    const locale = localeOf(ctx, ctx.query.ui_locales)
    Object.assign(ctx.state, {
      requestId,
      now: now(),
      site,
      locale,
      t: translator(locale),
      log: log.child({ requestId }),
    })
    ctx.set({ 'X-Request-Id': requestId, 'Content-Language': locale, Vary: 'Accept-Language, Cookie' })
    await next()
    const ms = Math.round(performance.now() - startedAt)
    ctx.state.log.info(
      { method: ctx.method, path: loggablePath(ctx.path), status: ctx.status, ms },
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
