import { keyedDigest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { HttpContext } from './context.ts'

/**
 * The unguessable id of this browser, so that a form, or an answer from an upstream, is only taken from the browser that
 * asked for it. It signs nobody in. Its cookie is set by the first page or trip that asks.
 */
export function browserIdOf(ctx: HttpContext, issuer: string, random: Random): string {
  const secure = issuer.startsWith('https:')
  const name = secure ? '__Host-hitotsu_browser' : 'hitotsu_browser'
  const known = ctx.cookies.get(name, { signed: true })
  if (known) return known
  const id = random.token()
  ctx.cookies.set(name, id, { signed: true, httpOnly: true, sameSite: 'lax', secure, maxAge: 86_400_000 })
  return id
}

/** This browser, as other state may keep it: a digest bound to `purpose`, of no use to whoever reads that state. */
export function browserBinding(ctx: HttpContext, purpose: string, key = signingKeys(ctx)[0]): string {
  if (!key) throw new Error('there is no cookie key')
  return keyedDigest(key, purpose, ctx.state.browserId)
}

/** Every binding that still counts: one per cookie key, so that rotating keys does not break a form already open. */
export function acceptedBindings(ctx: HttpContext, purpose: string): string[] {
  return signingKeys(ctx).map((key) => browserBinding(ctx, purpose, key))
}

function signingKeys(ctx: HttpContext): string[] {
  return Array.isArray(ctx.app.keys) ? ctx.app.keys : []
}
