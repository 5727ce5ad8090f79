import { keyedDigest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { HttpContext, HttpMiddleware } from './context.ts'

const browserIds = new WeakMap<object, () => string>()

/**
 * Gives each browser an unguessable id of its own, so that a form, or an answer from an upstream, is only taken from
 * the browser that asked for it. It signs nobody in. The cookie is set by the first page or trip that needs it.
 */
export function identifyBrowser(issuer: string, random: Random): HttpMiddleware {
  const secure = issuer.startsWith('https:')
  const name = secure ? '__Host-hitotsu_browser' : 'hitotsu_browser'
  return (ctx, next) => {
    let id: string | undefined
    browserIds.set(ctx.req, () => {
      id ??= ctx.cookies.get(name, { signed: true })
      if (id) return id
      id = random.token()
      ctx.cookies.set(name, id, { signed: true, httpOnly: true, sameSite: 'lax', secure, maxAge: 86_400_000 })
      return id
    })
    return next()
  }
}

/** This browser, as other state may keep it: a digest bound to `purpose`, of no use to whoever reads that state. */
export function browserBinding(ctx: HttpContext, purpose: string, key = signingKeys(ctx)[0]): string {
  const id = browserIds.get(ctx.req)?.()
  if (!id || !key) throw new Error('identifyBrowser has not run for this request')
  return keyedDigest(key, purpose, id)
}

/** Every binding that still counts: one per cookie key, so that rotating keys does not break a form already open. */
export function acceptedBindings(ctx: HttpContext, purpose: string): string[] {
  return signingKeys(ctx).map((key) => browserBinding(ctx, purpose, key))
}

function signingKeys(ctx: HttpContext): string[] {
  return Array.isArray(ctx.app.keys) ? ctx.app.keys : []
}
