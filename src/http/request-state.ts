import type { Random } from '../security/random.ts'
import type { Logger } from '../telemetry/logger.ts'
import { browserIdOf } from './browser.ts'
import type { HttpContext, HttpState, Site } from './context.ts'
import { type Locale, translator } from './i18n.ts'
import { localeOf } from './locale.ts'
import { allowScripts } from './security-headers.ts'

export interface RequestOptions {
  site: Site
  random: Random
  now: () => Date
  log: Logger
}

/**
 * What a request's handlers share. What programs never need (language, browser, nonce, a log of its own) is made when
 * it is first read, and the headers that go with it are set then; read it before the answer is sent.
 */
export function requestState(ctx: HttpContext, { site, random, now, log }: RequestOptions): HttpState {
  const requestId = random.uuid()
  let locale: Locale | undefined
  let requestLog: Logger | undefined
  let browserId: string | undefined
  let nonce: string | undefined
  return {
    requestId,
    now: now(),
    site,
    get log() {
      requestLog ??= log.child({ requestId })
      return requestLog
    },
    get locale() {
      locale ??= answerIn(ctx, localeOf(ctx, ctx.query.ui_locales))
      return locale
    },
    set locale(chosen) {
      locale = answerIn(ctx, chosen)
    },
    get t() {
      return translator(this.locale)
    },
    get browserId() {
      browserId ??= browserIdOf(ctx, site.issuer, random)
      return browserId
    },
    get nonce() {
      nonce ??= allowScripts(ctx, random)
      return nonce
    },
  }
}

/** RFC 9110 section 12.5.5: names what the language was chosen by, for caches. */
function answerIn(ctx: HttpContext, locale: Locale): Locale {
  ctx.set('Content-Language', locale)
  ctx.vary('Accept-Language')
  ctx.vary('Cookie')
  return locale
}
