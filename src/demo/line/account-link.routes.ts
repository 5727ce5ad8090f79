import Router from '@koa/router'
import { getLinkToken, issueLinkToken, openAccountLink } from './account-link.ts'
import { reachesLineApp } from './browsers.ts'
import { html, type Page, sendPage } from './html.ts'
import { getMessagingBearer } from './messaging-bearer.ts'
import { apiRefusal } from './refusal.ts'
import { readForm } from './request-body.ts'
import { findPerson, findPersonByUserId, type Simulator } from './simulator.ts'
import { fill, type Texts, textsFor } from './texts.ts'

/** Account link of the Messaging API: the token for the service, the dialog for the person. */
export function accountLinkRoutes(sim: Simulator): Router {
  const router = new Router()

  router.post('/v2/bot/user/:userId/linkToken', (ctx) => {
    const channel = getMessagingBearer(ctx, sim)
    const person = findPersonByUserId(sim, channel.providerId, ctx.params.userId ?? '')
    // LINE lists no errors for this call, so the status is a setting.
    if (!person) throw apiRefusal(sim.state.settings.linkTokenUnknownUserStatus, 'Not found')
    ctx.body = { linkToken: issueLinkToken(sim, channel, person).token }
  })

  router.get('/dialog/bot/accountLink', (ctx) => {
    const params = new URLSearchParams(ctx.querystring)
    const [token, nonce] = [params.get('linkToken') ?? '', params.get('nonce') ?? '']
    getLinkToken(sim, token, nonce)
    const texts = textsFor(ctx)
    const appPerson = reachesLineApp(ctx, sim) ? findPerson(sim, sim.state.settings.appPersonId) : undefined
    if (!appPerson) return sendPage(ctx, choicePage(sim, texts, token, nonce))
    openAccountLink(sim, appPerson, token, nonce)
    sendPage(ctx, donePage(texts))
  })

  router.post('/dialog/bot/accountLink', async (ctx) => {
    const form = await readForm(ctx)
    const person = findPerson(sim, form.get('person') ?? undefined)
    if (!person) throw apiRefusal(400, 'There is no such person')
    openAccountLink(sim, person, form.get('linkToken') ?? '', form.get('nonce') ?? '')
    sendPage(ctx, donePage(textsFor(ctx)))
  })
  return router
}

/** A phone knows whose LINE it is; here that is asked, so that a forwarded link can be tried too. */
function choicePage(sim: Simulator, texts: Texts, token: string, nonce: string): Page {
  const persons = Object.values(sim.state.persons)
  return {
    texts,
    title: texts.accountLinkTitle,
    body: html`<p>${texts.accountLinkNote}</p>
<form method="post" action="/dialog/bot/accountLink">
<input type="hidden" name="linkToken" value="${token}">
<input type="hidden" name="nonce" value="${nonce}">
${persons.map(
  ({
    id,
    name,
  }) => html`<button name="person" value="${id}">${fill(texts.accountLinkAs, { person: name })}</button>
`,
)}</form>`,
  }
}

function donePage(texts: Texts): Page {
  return {
    texts,
    title: texts.accountLinkDone,
    body: html`<p role="status">${texts.accountLinkDoneNote}</p>`,
  }
}
