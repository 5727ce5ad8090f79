import Router, { type RouterContext } from '@koa/router'
import { decideRequest } from './authorize-request.ts'
import { sendAuthorizationResponse } from './authorize-response.ts'
import { advance, applyConsent, pathOf } from './authorize-screens.ts'
import { chooseMethod, nextStep } from './authorize-step.ts'
import { browserOf, reachesLineApp } from './browsers.ts'
import { lifetimeSeconds } from './lifetimes.ts'
import { authenticate, beginLogin, gatherFacts, getLogin, recordFriendship } from './login.ts'
import { PageRefusal } from './refusal.ts'
import { readForm } from './request-body.ts'
import { findLoginChannel, findPerson, nowMs, type Simulator } from './simulator.ts'
import type { Person } from './state.ts'

/** The browser's way through LINE Login: one request, then one screen at a time until it returns. */
export function authorizeRoutes(sim: Simulator): Router {
  const router = new Router()

  router.get('/oauth2/v2.1/authorize', async (ctx) => {
    const params = new URLSearchParams(ctx.querystring)
    const channel = findLoginChannel(sim, params.get('client_id') ?? undefined)
    if (!channel) throw new PageRefusal('invalidClientId')
    const decision = decideRequest(params, channel, sim.state.settings.stateCharset)
    switch (decision.outcome) {
      case 'refuse_on_page':
        throw new PageRefusal(decision.text)
      case 'refuse_by_redirect': {
        const { error, description, state } = decision.error
        const answer = { error, error_description: description, state }
        return sendAuthorizationResponse(ctx, sim, channel, decision.error, answer)
      }
      case 'accept':
        return advance(ctx, sim, beginLogin(ctx, sim, decision.request))
    }
  })

  router.get('/oauth2/v2.1/authorize/:id', (ctx) => advance(ctx, sim, getLogin(ctx, sim, ctx.params.id)))
  router.post('/oauth2/v2.1/authorize/:id/login', (ctx) => logIn(ctx, sim))
  router.post('/oauth2/v2.1/authorize/:id/two-factor', (ctx) => confirmTwoFactor(ctx, sim))
  router.post('/oauth2/v2.1/authorize/:id/consent', (ctx) => answerConsent(ctx, sim))
  router.post('/oauth2/v2.1/authorize/:id/friend', (ctx) => answerFriend(ctx, sim))
  return router
}

async function logIn(ctx: RouterContext, sim: Simulator): Promise<void> {
  const login = getLogin(ctx, sim, ctx.params.id)
  const form = await readForm(ctx)
  const { browser } = browserOf(ctx, sim)
  const { request } = login
  const appReachable = reachesLineApp(ctx, sim)
  if (ctx.query.method === 'sso') {
    const offered = chooseMethod({ request, browser, appReachable, nowMs: nowMs(sim) }) === 'sso'
    if (offered && browser.personId) authenticate(ctx, sim, login, browser.personId, 'linesso')
    return ctx.redirect(pathOf(login))
  }
  const person = findPerson(sim, form.get('person') ?? undefined) ?? findByPassword(sim, form)
  if (!person) return ctx.redirect(`${pathOf(login)}?method=password&failed`)
  authenticate(ctx, sim, login, person.id, ctx.query.method === 'qr' ? 'lineqr' : 'pwd')
  ctx.redirect(pathOf(login))
}

function findByPassword(sim: Simulator, form: URLSearchParams): Person | undefined {
  const email = form.get('email')?.toLowerCase()
  return Object.values(sim.state.persons).find(
    (person) => email && person.email?.toLowerCase() === email && person.password === form.get('password'),
  )
}

async function confirmTwoFactor(ctx: RouterContext, sim: Simulator): Promise<void> {
  const login = getLogin(ctx, sim, ctx.params.id)
  if (login.person && !login.twoFactorDone) {
    login.twoFactorDone = true
    login.person.amr.push('mfa')
    const { browser } = browserOf(ctx, sim)
    browser.trustedUntilMs[login.person.id] = nowMs(sim) + lifetimeSeconds.trustedDevice * 1000
  }
  ctx.redirect(pathOf(login))
}

async function answerConsent(ctx: RouterContext, sim: Simulator): Promise<void> {
  const login = getLogin(ctx, sim, ctx.params.id)
  const facts = gatherFacts(ctx, sim, login)
  const form = await readForm(ctx)
  if (nextStep(facts) !== 'consent') return ctx.redirect(pathOf(login))
  const allow = form.get('decision') === 'allow'
  return applyConsent(ctx, sim, facts, { allow, email: form.has('email'), addFriend: form.has('add_friend') })
}

async function answerFriend(ctx: RouterContext, sim: Simulator): Promise<void> {
  const login = getLogin(ctx, sim, ctx.params.id)
  const facts = gatherFacts(ctx, sim, login)
  const form = await readForm(ctx)
  if (nextStep(facts) === 'add_friend') recordFriendship(sim, facts, form.has('add_friend'))
  return advance(ctx, sim, login)
}
