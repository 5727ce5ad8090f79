import Router, { type RouterContext } from '@koa/router'
import { type Control, getPerson } from './control.ts'
import { sendPage } from './html.ts'
import { phonePage, phonesPage } from './phone-pages.ts'
import { apiRefusal } from './refusal.ts'
import { readForm } from './request-body.ts'
import type { Simulator } from './simulator.ts'
import { textsFor } from './texts.ts'

/** The LINE app as a page, so that a demo needs no phone and no JSON. */
export function phoneRoutes(sim: Simulator, control: Control): Router {
  const router = new Router()

  router.get('/', (ctx) => ctx.redirect('/phone'))
  router.get('/phone', (ctx) => sendPage(ctx, phonesPage(textsFor(ctx), Object.values(sim.state.persons))))
  router.get('/phone/:personId', (ctx) => {
    sendPage(ctx, phonePage(sim, textsFor(ctx), getPerson(sim, ctx.params.personId)))
  })

  const post = (action: string, act: (personId: string, form: URLSearchParams) => void) =>
    router.post(`/phone/:personId/${action}`, async (ctx: RouterContext) => {
      // The forms carry no secret: browsers say where they come from.
      if (ctx.get('sec-fetch-site') === 'cross-site') throw apiRefusal(403, 'Not from another site')
      const { id } = getPerson(sim, ctx.params.personId)
      act(id, await readForm(ctx))
      ctx.status = 303
      ctx.redirect(`/phone/${id}`)
    })

  post('in-hand', (personId, form) => {
    if (form.get('inHand') === 'true') control.signInToApp(personId)
    else control.signInToApp()
  })
  post('relation', (personId, form) => {
    const relation = form.get('relation') === 'friend' ? 'friend' : 'blocked'
    control.setRelation(form.get('channelId') ?? '', personId, relation)
  })
  post('say', (personId, form) => control.say(personId, form.get('channelId') ?? '', form.get('text') ?? ''))
  post('remove-app', (personId, form) => control.revokeApp(form.get('channelId') ?? '', personId))
  return router
}
