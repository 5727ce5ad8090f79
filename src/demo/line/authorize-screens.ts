import type { Context } from 'koa'
import { finishLogin, refuseLogin } from './authorize-end.ts'
import {
  consentPage,
  type FriendOption,
  friendPage,
  passwordPage,
  qrPage,
  ssoPage,
  twoFactorPage,
} from './authorize-pages.ts'
import { sendAuthorizationResponse } from './authorize-response.ts'
import { chooseMethod, missingConsent, nextStep, offersFriendship, type StepFacts } from './authorize-step.ts'
import { browserOf, reachesLineApp } from './browsers.ts'
import { sendPage } from './html.ts'
import { authenticate, gatherFacts, recordConsent } from './login.ts'
import { PageRefusal } from './refusal.ts'
import { findPerson, nowMs, randomHex, type Simulator } from './simulator.ts'
import type { PendingLogin, Person, PlannedConsent } from './state.ts'
import { textsFor } from './texts.ts'

export function pathOf(login: PendingLogin): string {
  return `/oauth2/v2.1/authorize/${login.id}`
}

/** Shows the next screen, or takes the browser back to the client. */
export async function advance(ctx: Context, sim: Simulator, login: PendingLogin): Promise<void> {
  const facts = gatherFacts(ctx, sim, login)
  const step = nextStep(facts)
  if (step === 'finish') return finishLogin(ctx, sim, facts)
  if (step === 'log_in') return showLogin(ctx, sim, facts)
  // OIDC Core 3.1.2.1: `prompt=none` never shows a screen.
  if (login.request.prompts.includes('none')) return refuseLogin(ctx, sim, facts, 'INTERACTION_REQUIRED')

  const texts = textsFor(ctx, login.request.uiLocales)
  switch (step) {
    case 'refuse_developing':
      throw new PageRefusal('developingChannel')
    case 'two_factor':
      return sendPage(ctx, twoFactorPage(texts, pathOf(login), login.id.replace(/\D/g, '').slice(0, 4)))
    case 'add_friend': {
      const friend = friendOption(sim, facts)
      if (!friend) return finishLogin(ctx, sim, facts)
      return sendPage(ctx, friendPage(texts, pathOf(login), friend))
    }
    case 'consent':
      return showConsent(ctx, sim, facts)
  }
}

async function showLogin(ctx: Context, sim: Simulator, facts: StepFacts): Promise<void> {
  const { login, channel } = facts
  const { browser } = browserOf(ctx, sim)
  const { request } = login
  const appReachable = reachesLineApp(ctx, sim)
  const method = chooseMethod({ request, browser, appReachable, nowMs: nowMs(sim) })
  const appPerson = findPerson(sim, sim.state.settings.appPersonId)
  if (method === 'auto' && appPerson) return logInAutomatically(ctx, sim, facts, appPerson)
  if (request.prompts.includes('none')) return refuseLogin(ctx, sim, facts, 'LOGIN_REQUIRED')

  const texts = textsFor(ctx, request.uiLocales)
  const wanted = typeof ctx.query.method === 'string' ? ctx.query.method : undefined
  const ssoPerson = findPerson(sim, browser.personId)
  if (method === 'sso' && ssoPerson && wanted === undefined) {
    return sendPage(ctx, ssoPage(texts, pathOf(login), ssoPerson))
  }
  const asksQr = wanted === undefined || !request.maySwitchMethod ? request.showQrFirst : wanted === 'qr'
  const page = asksQr ? qrPage : passwordPage
  sendPage(
    ctx,
    page({
      texts,
      action: pathOf(login),
      channelName: channel.name,
      persons: Object.values(sim.state.persons),
      maySwitchMethod: request.maySwitchMethod,
      failed: ctx.query.failed !== undefined,
    }),
  )
}

async function logInAutomatically(
  ctx: Context,
  sim: Simulator,
  facts: StepFacts,
  person: Person,
): Promise<void> {
  const { login, channel } = facts
  if (!autoLoginFails(sim)) {
    authenticate(ctx, sim, login, person.id, 'lineautologin')
    return advance(ctx, sim, login)
  }
  if (login.request.prompts.includes('none')) return refuseLogin(ctx, sim, facts, 'INTERACTION_REQUIRED')
  // The browser comes back with a code that is never valid and a state that is not its own.
  delete sim.state.logins[login.id]
  const answer = { code: randomHex(sim, 20), state: randomHex(sim, 32) }
  return sendAuthorizationResponse(ctx, sim, channel, login.request, answer)
}

function autoLoginFails(sim: Simulator): boolean {
  const { settings } = sim.state
  switch (settings.autoLoginFailure) {
    case 'off':
      return false
    case 'once':
      settings.autoLoginFailure = 'off'
      return true
    case 'always':
      return true
    case 'rate':
      return Number.parseInt(randomHex(sim, 8), 16) / 2 ** 32 < settings.autoLoginFailureRate
  }
}

async function showConsent(ctx: Context, sim: Simulator, facts: StepFacts): Promise<void> {
  const { login, channel, person } = facts
  const planned = sim.state.plannedConsents[person?.id ?? '']
  if (planned) {
    delete sim.state.plannedConsents[person?.id ?? '']
    return applyConsent(ctx, sim, facts, planned)
  }
  const page = consentPage({
    texts: textsFor(ctx, login.request.uiLocales),
    action: pathOf(login),
    channelName: channel.name,
    providerName: sim.state.providers[channel.providerId]?.name ?? channel.providerId,
    scopes: login.request.scopes,
    email: missingConsent(facts).askEmail ? person?.email : undefined,
    friend: login.request.botPrompt === 'normal' ? friendOption(sim, facts) : undefined,
  })
  sendPage(ctx, page)
}

export async function applyConsent(
  ctx: Context,
  sim: Simulator,
  facts: StepFacts,
  answer: PlannedConsent,
): Promise<void> {
  if (!answer.allow) return refuseLogin(ctx, sim, facts, 'ACCESS_DENIED')
  const friend = facts.login.request.botPrompt === 'normal' && friendOption(sim, facts) !== undefined
  recordConsent(sim, facts, answer, { email: missingConsent(facts).askEmail, friend })
  return advance(ctx, sim, facts.login)
}

function friendOption(sim: Simulator, facts: StepFacts): FriendOption | undefined {
  if (!offersFriendship(facts)) return undefined
  const bot = sim.state.channels[facts.channel.botChannelId ?? '']
  return bot && { botName: bot.name, blocked: facts.relation === 'blocked' }
}
