import { Problem } from '../problem.ts'
import { equalInConstantTime } from '../security/digest.ts'
import { acceptedBindings, browserBinding } from './browser.ts'
import type { HttpContext, HttpMiddleware } from './context.ts'

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The value a form carries in its hidden field `_csrf`. */
export function csrfToken(ctx: HttpContext): string {
  return browserBinding(ctx, 'csrf')
}

/**
 * Lets a request that changes something pass only when it comes from a page of ours in this very browser: the browser's
 * own word for where it comes from (Fetch Metadata, else Origin) and the form's token must both agree.
 */
export function refuseCrossSite(issuer: string): HttpMiddleware {
  return (ctx, next) => {
    if (safeMethods.has(ctx.method)) return next()
    const site = ctx.get('Sec-Fetch-Site')
    const origin = ctx.get('Origin')
    const foreign = site ? site !== 'same-origin' && site !== 'none' : origin !== '' && origin !== issuer
    if (foreign) throw new Problem('cross_site_request')

    const presented = (ctx.request as { body?: Record<string, unknown> }).body?._csrf
    const genuine = acceptedBindings(ctx, 'csrf')
    if (typeof presented !== 'string' || !genuine.some((token) => equalInConstantTime(token, presented))) {
      throw new Problem('form_expired')
    }
    return next()
  }
}
