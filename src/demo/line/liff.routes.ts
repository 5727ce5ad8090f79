import Router from '@koa/router'
import { liffRequest } from './authorize-request.ts'
import { advance } from './authorize-screens.ts'
import { findLiffApp } from './liff.ts'
import { beginLogin } from './login.ts'
import { apiRefusal, PageRefusal } from './refusal.ts'
import type { Simulator } from './simulator.ts'

const liffIdPattern = '(\\d+-[A-Za-z0-9]{8})'

/** `liff.login()` of an external browser, and the liff host, which shares this origin. */
export function liffRoutes(sim: Simulator): Router {
  const router = new Router()

  router.get('/liff/v1/authorize', (ctx) => {
    const params = new URLSearchParams(ctx.querystring)
    const found = findLiffApp(sim, params.get('app_id') ?? '')
    if (!found) throw new PageRefusal('invalidClientId')
    const { channel, app } = found
    const redirectUri = params.get('redirect_uri') ?? app.endpointUrl
    // The address must begin with the endpoint URL; it is not looked up among the callback URLs.
    if (!redirectUri.startsWith(app.endpointUrl) || !params.get('code_challenge')) {
      throw new PageRefusal('invalidRedirectUri')
    }
    return advance(ctx, sim, beginLogin(ctx, sim, liffRequest(params, channel, app, redirectUri)))
  })

  router.get(new RegExp(`^/${liffIdPattern}(/.*)?$`), (ctx) => {
    const [liffId = '', path = ''] = (ctx as typeof ctx & { captures: string[] }).captures
    const found = findLiffApp(sim, liffId)
    if (!found) throw apiRefusal(404, 'Not found')
    const state = `${path}${ctx.search}`
    const url = new URL(found.app.endpointUrl)
    if (state !== '') url.searchParams.set('liff.state', state)
    ctx.redirect(url.href)
  })
  return router
}
