import Router from '@koa/router'
import type { HttpContext, HttpState } from '../http/context.ts'
import { toLocale } from '../http/i18n.ts'
import { localeCookie } from '../http/locale.ts'
import { render } from '../http/render.ts'
import { returnTo } from '../http/return-to.ts'
import { seeOther } from '../http/signed-in.ts'
import { Problem } from '../problem.ts'
import { accountReturnPath, accountSignInUrl, accountSignOutUrl } from './clients/account-client.ts'

/** The front door: where signing in to our own pages begins and ends. */
export function frontRoutes(issuer: string): Router<HttpState> {
  const router = new Router<HttpState>()
  const signInUrl = accountSignInUrl(issuer)
  router.get('/', (ctx) => (ctx.state.session ? seeOther(ctx, '/account') : render(ctx, 'members/home')))
  router.get('/sign-up', (ctx) =>
    seeOther(ctx, ctx.state.session ? '/account' : `${signInUrl('/account')}&prompt=create`),
  )
  router.get(accountReturnPath, (ctx) => {
    const { state, error } = ctx.query
    if (error === 'temporarily_unavailable') throw new Problem('unavailable')
    const path = returnTo(typeof state === 'string' ? state : undefined, issuer, '/account')
    seeOther(ctx, error ? afterCancel(path) : path)
  })
  router.post('/account/sign-out', (ctx) => seeOther(ctx, accountSignOutUrl(issuer)))
  router.post('/locale', (ctx) => chooseLocale(ctx, issuer))
  return router
}

/** Who cancels signing in to our own pages is back at the front door; a link that waited for it is told. */
const afterCancel = (path: string) => (/^\/link\/[\w-]+$/.test(path) ? `${path}/canceled` : '/')

function chooseLocale(ctx: HttpContext, issuer: string): void {
  const { to, return_to: back } = (ctx.request as { body?: Record<string, unknown> }).body ?? {}
  const locale = toLocale(typeof to === 'string' ? to : undefined)
  if (locale) {
    const options = {
      httpOnly: true,
      sameSite: 'lax',
      secure: issuer.startsWith('https:'),
      signed: false,
      maxAge: 31_536_000_000,
    } as const
    ctx.cookies.set(localeCookie, locale, options)
  }
  seeOther(ctx, returnTo(typeof back === 'string' ? back : undefined, issuer, '/'))
}
