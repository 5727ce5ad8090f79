import type { Context } from 'koa'
import { offersFriendship, type StepFacts } from './authorize-step.ts'
import { browserOf } from './browsers.ts'
import { lifetimeSeconds } from './lifetimes.ts'
import { PageRefusal } from './refusal.ts'
import { setRelation } from './relations.ts'
import { findLoginChannel, findPerson, nowMs, randomHex, relationOf, type Simulator } from './simulator.ts'
import type { AuthorizationRequest, PendingLogin, PlannedConsent } from './state.ts'

export function beginLogin(ctx: Context, sim: Simulator, request: AuthorizationRequest): PendingLogin {
  const login: PendingLogin = {
    id: randomHex(sim, 32),
    browserId: browserOf(ctx, sim).id,
    request,
    expiresAtMs: nowMs(sim) + lifetimeSeconds.pendingLogin * 1000,
    twoFactorDone: false,
    consented: false,
  }
  for (const { id, expiresAtMs } of Object.values(sim.state.logins)) {
    if (expiresAtMs <= nowMs(sim)) delete sim.state.logins[id]
  }
  sim.state.logins[login.id] = login
  return login
}

/** A login goes on only in the browser that began it. */
export function getLogin(ctx: Context, sim: Simulator, id: string | undefined): PendingLogin {
  const login = id !== undefined && Object.hasOwn(sim.state.logins, id) ? sim.state.logins[id] : undefined
  if (!login || login.browserId !== browserOf(ctx, sim).id || login.expiresAtMs <= nowMs(sim)) {
    throw new PageRefusal('loginExpired')
  }
  return login
}

export function gatherFacts(ctx: Context, sim: Simulator, login: PendingLogin): StepFacts {
  const channel = findLoginChannel(sim, login.request.clientId)
  if (!channel) throw new PageRefusal('invalidClientId')
  const person = findPerson(sim, login.person?.id)
  const key = `${channel.id}:${person?.id}`
  const { browser } = browserOf(ctx, sim)
  return {
    login,
    channel,
    person,
    consent: sim.state.consents[key],
    relation: person && channel.botChannelId ? relationOf(sim, channel.botChannelId, person.id) : 'none',
    deviceTrusted: (browser.trustedUntilMs[person?.id ?? ''] ?? 0) > nowMs(sim),
    nowMs: nowMs(sim),
  }
}

/** Remembers the person as authenticated here; SSO offers them until another logs in. */
export function authenticate(
  ctx: Context,
  sim: Simulator,
  login: PendingLogin,
  personId: string,
  amr: string,
): void {
  const { browser } = browserOf(ctx, sim)
  if (amr === 'pwd' || amr === 'lineqr') {
    browser.personId = personId
    browser.authenticatedAtMs = nowMs(sim)
  }
  const authenticatedAtMs = amr === 'linesso' ? browser.authenticatedAtMs : undefined
  login.person = { id: personId, amr: [amr], authenticatedAtMs: authenticatedAtMs ?? nowMs(sim) }
}

/** Keeps what was agreed to; an unticked e-mail is remembered as declined. */
export function recordConsent(
  sim: Simulator,
  facts: StepFacts,
  answer: PlannedConsent,
  shown: { email: boolean; friend: boolean },
): void {
  const { login, channel, person, consent } = facts
  if (!person) return
  const scopes = login.request.scopes.filter((scope) => scope !== 'email')
  const email =
    shown.email && person.email !== undefined
      ? { address: person.email, granted: answer.email, decidedAtMs: facts.nowMs }
      : consent?.email
  sim.state.consents[`${channel.id}:${person.id}`] = {
    scopes: [...new Set([...(consent?.scopes ?? []), ...scopes])],
    ...(email && { email }),
  }
  login.consented = true
  if (shown.friend) recordFriendship(sim, facts, answer.addFriend)
}

export function recordFriendship(sim: Simulator, facts: StepFacts, addFriend: boolean): void {
  const { login, channel, person } = facts
  if (!person || channel.botChannelId === undefined || !offersFriendship(facts)) return
  login.friendshipChanged = addFriend && setRelation(sim, channel.botChannelId, person.id, 'friend')
}

/** Ends the login with a code that is bound to everything the token endpoint compares. */
export function issueCode(sim: Simulator, facts: StepFacts): string {
  const { login, channel, person } = facts
  if (!person || !login.person) throw new PageRefusal('loginExpired')
  const { request } = login
  const email = sim.state.consents[`${channel.id}:${person.id}`]?.email
  const code = randomHex(sim, 20)
  sim.state.codes[code] = {
    code,
    channelId: channel.id,
    personId: person.id,
    redirectUri: request.redirectUri,
    scopes: request.scopes.filter((scope) => scope !== 'email'),
    emailGranted:
      request.scopes.includes('email') &&
      channel.emailPermission &&
      email?.granted === true &&
      email.address === person.email,
    amr: login.person.amr,
    issuedAtMs: facts.nowMs,
    expiresAtMs: facts.nowMs + lifetimeSeconds.authorizationCode * 1000,
    ...(request.nonce !== undefined && { nonce: request.nonce }),
    ...(request.maxAgeSeconds !== undefined && { authTimeMs: login.person.authenticatedAtMs }),
    ...(request.codeChallenge !== undefined && { codeChallenge: request.codeChallenge }),
    ...(request.liffId !== undefined && { liffId: request.liffId }),
  }
  delete sim.state.logins[login.id]
  return code
}
