import { lifetimeSeconds } from './lifetimes.ts'
import type {
  AuthorizationRequest,
  Browser,
  Consent,
  LoginChannel,
  PendingLogin,
  Person,
  Relation,
} from './state.ts'

export type LoginMethod = 'auto' | 'sso' | 'qr' | 'password'

export type LoginFacts = {
  request: AuthorizationRequest
  browser: Browser
  /** Whether the LINE app on this device is signed in and this browser can hand over to it. */
  appReachable: boolean
  nowMs: number
}

/**
 * Auto login goes before SSO, SSO before e-mail or QR.
 * @see https://developers.line.biz/en/docs/line-login/integrate-line-login/
 */
export function chooseMethod({ request, browser, appReachable, nowMs }: LoginFacts): LoginMethod {
  const mustAuthenticate = request.prompts.includes('login')
  if (appReachable && !mustAuthenticate && !request.disableAutoLogin) return 'auto'
  if (browser.personId && !mustAuthenticate && isRecent(request, browser, nowMs)) return 'sso'
  return request.showQrFirst ? 'qr' : 'password'
}

/** OIDC Core 3.1.2.1 `max_age`: an older authentication must be repeated. */
function isRecent(request: AuthorizationRequest, browser: Browser, nowMs: number): boolean {
  if (request.maxAgeSeconds === undefined) return true
  return nowMs - (browser.authenticatedAtMs ?? 0) <= request.maxAgeSeconds * 1000
}

export type Step = 'log_in' | 'refuse_developing' | 'two_factor' | 'consent' | 'add_friend' | 'finish'

export type StepFacts = {
  login: PendingLogin
  channel: LoginChannel
  person: Person | undefined
  consent: Consent | undefined
  relation: Relation
  deviceTrusted: boolean
  nowMs: number
}

/** The one place that orders the screens of a login. */
export function nextStep(facts: StepFacts): Step {
  const { login, channel, person, deviceTrusted } = facts
  if (!person || !login.person) return 'log_in'
  if (channel.status === 'developing' && !channel.testerIds.includes(person.id)) return 'refuse_developing'
  // Auto login and SSO are exempt from two-factor authentication.
  const usesSecondFactor = login.person.amr.some((amr) => amr === 'pwd' || amr === 'lineqr')
  if (channel.requireTwoFactor && usesSecondFactor && !login.twoFactorDone && !deviceTrusted)
    return 'two_factor'
  if (!login.consented && missingConsent(facts).required) return 'consent'
  const friendAnswered = login.friendshipChanged !== undefined
  if (login.request.botPrompt === 'aggressive' && offersFriendship(facts) && !friendAnswered)
    return 'add_friend'
  return 'finish'
}

export type MissingConsent = { required: boolean; askEmail: boolean }

/** Consent is asked for what is new only, unless `prompt=consent`. */
export function missingConsent({ login, channel, person, consent, nowMs }: StepFacts): MissingConsent {
  const { scopes, prompts } = login.request
  const always = prompts.includes('consent')
  const isNew = scopes.some((scope) => scope !== 'email' && !consent?.scopes.includes(scope))
  const emailDecided =
    consent?.email !== undefined &&
    consent.email.address === person?.email &&
    nowMs - consent.email.decidedAtMs < lifetimeSeconds.emailDecision * 1000
  const askEmail =
    scopes.includes('email') && channel.emailPermission && Boolean(person?.email) && (always || !emailDecided)
  return { required: always || isNew || askEmail, askEmail }
}

/** The add-friend option is for those who are no friend, or who blocked the account. */
export function offersFriendship({ login, channel, relation }: StepFacts): boolean {
  return login.request.botPrompt !== undefined && channel.botChannelId !== undefined && relation !== 'friend'
}
