import { Problem } from '../problem.ts'
import type { BrowserSession, HttpContext, HttpMiddleware } from './context.ts'
import { longestReturn } from './return-to.ts'

/** The address at which a member signs in and comes back to `path`; `afresh` asks those who are signed in as well. */
export type SignInUrl = (path: string, how?: 'afresh') => string

/** Lets members through and sends everybody else to sign in. */
export function requireSession(signInUrl: SignInUrl): HttpMiddleware {
  return (ctx, next) => {
    if (ctx.state.session) return next()
    if (ctx.method !== 'GET') throw new Problem('sign_in_required')
    return seeOther(ctx, signInUrl(ctx.url.length <= longestReturn ? ctx.url : '/account'))
  }
}

/** The session that `requireSession` has seen. */
export function sessionOf(ctx: HttpContext): BrowserSession {
  const { session } = ctx.state
  if (!session) throw new Problem('sign_in_required')
  return session
}

/** True when the member proved who they are within the last `seconds`. */
export function isRecent(session: BrowserSession, seconds: number, now: Date): boolean {
  return now.getTime() - session.signedInAt.getTime() <= seconds * 1000
}

/** RFC 9700 section 4.12: 303, so that no browser repeats a form with a password at the next address. */
export function seeOther(ctx: HttpContext, url: string): void {
  ctx.redirect(url)
  ctx.status = 303
  ctx.set('Cache-Control', 'no-store')
}
