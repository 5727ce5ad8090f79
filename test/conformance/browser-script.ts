import { locales, translator } from '../../src/http/i18n.ts'
import { routes } from '../../src/oidc/routes.ts'

/** What the suite's browser does at an address that it is sent to: one task for each page, in the suite's own notation. */
export interface Script {
  match: string
  /** How often this one is taken before the next that matches is. */
  'match-limit'?: number
  tasks: Task[]
}

interface Task {
  task: string
  /** Where the browser has to be; elsewhere an optional task is left out, and any other ends the module. */
  match: string
  optional?: boolean
  commands?: (string | number)[][]
}

/** What a module wants a picture of. Where the module has asked for none, only the second does not fail. */
type Picture = 'update-image-placeholder' | 'update-image-placeholder-optional'

export interface Scripts {
  /** What a willing member does, and the sign-out of the end. */
  browser: Script[]
  /** By module: what it does in place of that. */
  override: Record<string, { browser: Script[] }>
}

const patience = 10

/** The words of our pages in any language, as a regular expression. */
function words(...keys: string[]): string {
  const texts = keys.flatMap((key) => locales.map((locale) => translator(locale)(key)))
  return [...new Set(texts)].map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
}

const waitFor = (text: string, picture: Picture) => ['wait', 'xpath', '//*', patience, text, picture]

/** The tasks of our pages, for this member. */
function tasksOf(issuer: string, { email, password }: { email: string; password: string }) {
  const signInWords = words('sign_in.title', 'sign_in.again_title')
  const page = (task: string, match: string, ...commands: (string | number)[][]): Task => ({
    ...{ task, match },
    ...(commands.length > 0 && { commands }),
  })
  const optional = (task: Task): Task => ({ ...task, optional: true })
  const at = (path: string) => `${issuer}${path}`
  const press = (form: string) => ['click', 'css', `form[action$='${form}'] button`]
  return {
    optional,
    signIn: (picture?: Picture) =>
      page(
        'Sign in',
        at('/interaction/*/sign-in*'),
        ...(picture ? [waitFor(signInWords, picture)] : []),
        // Who signs in again cannot change the address.
        ['text', 'xpath', "//input[@name='email' and not(@readonly)]", email, 'optional'],
        ['text', 'name', 'password', password],
        press('/sign-in'),
      ),
    seeSignIn: (picture: Picture) =>
      page('See the sign-in page', at('/interaction/*/sign-in*'), waitFor(signInWords, picture)),
    cancel: page('Cancel', at('/interaction/*/sign-in*'), press('/cancel')),
    consent: page('Allow', at('/interaction/*/consent*'), press('/consent')),
    seeConsent: page(
      'See who asks',
      at('/interaction/*/consent*'),
      waitFor(words('consent.member'), 'update-image-placeholder'),
    ),
    /** Where scripts run, the page has sent itself already. */
    answer: page('Send the answer', at(`${routes.authorization}*`), [
      'click',
      'css',
      '#answer button',
      'optional',
    ]),
    callback: page('Be back', '*/test/*/callback*', ['wait', 'id', 'submission_complete', patience]),
    refusal: (path: string, picture: Picture = 'update-image-placeholder') =>
      page('See the refusal', at(`${path}*`), waitFor(words('error.request'), picture)),
    seeSignOut: page(
      'See that one is asked',
      at(`${routes.end_session}*`),
      waitFor(words('sign_out.title'), 'update-image-placeholder'),
    ),
    signOut: page('Sign out', at(`${routes.end_session}*`), ['click', 'css', "button[name='logout']"]),
    signedOut: page(
      'See that one is signed out',
      at(`${routes.end_session}/success*`),
      waitFor(words('signed_out.title'), 'update-image-placeholder'),
    ),
    goodbye: page('Be back', '*/test/*/post_logout_redirect*'),
  }
}

/** The scripts for our pages: sign-in, consent, answers by form, refusals and sign-out. */
export function browserScripts(issuer: string, member: { email: string; password: string }): Scripts {
  const does = tasksOf(issuer, member)
  const authorize = (...tasks: Task[]): Script => ({ match: `${issuer}${routes.authorization}*`, tasks })
  const signOut = (...tasks: Task[]): Script => ({ match: `${issuer}${routes.end_session}*`, tasks })
  const ways = { does, authorize, signOut, willing: willingly(does, authorize) }
  const override = [...authorizationOverrides(ways), ...signOutOverrides(ways), ...fapiOverrides(ways)]
  return {
    browser: [ways.willing(), signOut(does.signOut, does.goodbye)],
    override: Object.fromEntries(
      override.flatMap(([modules, ...browser]) => modules.map((module) => [module, { browser }])),
    ),
  }
}

interface Ways {
  does: ReturnType<typeof tasksOf>
  authorize: (...tasks: Task[]) => Script
  signOut: (...tasks: Task[]) => Script
  /** What somebody does who wants to be signed in. */
  willing: (picture?: Picture) => Script
}

/** Some modules, and the scripts they have. */
type Override = [modules: string[], ...browser: Script[]]

function willingly(does: Ways['does'], authorize: Ways['authorize']): Ways['willing'] {
  const { optional } = does
  return (picture) =>
    authorize(optional(does.signIn(picture)), optional(does.consent), optional(does.answer), does.callback)
}

/** A refusal is a page where it cannot be known where to go back to, and an answer otherwise. */
function eitherWay({ does, authorize }: Ways): Script {
  const { optional } = does
  const refusal = does.refusal(routes.authorization, 'update-image-placeholder-optional')
  return authorize(...[does.signIn(), does.consent, refusal, does.callback].map(optional))
}

function authorizationOverrides(ways: Ways): Override[] {
  const { does, authorize, willing } = ways
  const again = ['oidcc-prompt-login', 'oidcc-max-age-1']
  const refused = [
    'oidcc-ensure-registered-redirect-uri',
    'oidcc-ensure-redirect-uri-in-authorization-request',
    'oidcc-redirect-uri-query-mismatch',
    'oidcc-redirect-uri-query-added',
  ]
  const answered = [
    'oidcc-response-type-missing',
    'oidcc-ensure-request-object-with-redirect-uri',
    'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
    'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
  ]
  const described = [
    'oidcc-registration-logo-uri',
    'oidcc-registration-policy-uri',
    'oidcc-registration-tos-uri',
  ]
  return [
    [again, willing('update-image-placeholder-optional')],
    [refused, authorize(does.refusal(routes.authorization))],
    [answered, eitherWay(ways)],
    [described, authorize(does.optional(does.signIn()), does.seeConsent)],
  ]
}

function signOutOverrides({ does, signOut, willing }: Ways): Override[] {
  const modules = (...names: string[]) => names.map((name) => `oidcc-rp-initiated-logout-${name}`)
  const refused = modules(
    'bad-post-logout-redirect-uri',
    'query-added-to-post-logout-redirect-uri',
    'modified-id-token-hint',
    'bad-id-token-hint',
  )
  const ended = modules('no-params', 'only-state', 'no-post-logout-redirect-uri')
  return [
    [refused, willing(), signOut(does.refusal(routes.end_session))],
    [modules('no-id-token-hint'), willing(), signOut(does.seeSignOut)],
    [ended, willing(), signOut(does.signOut, does.signedOut)],
  ]
}

function fapiOverrides(ways: Ways): Override[] {
  const { does, authorize, willing } = ways
  const modules = (...names: string[]) => names.map((name) => `fapi2-security-profile-final-${name}`)
  const refused = modules(
    'ensure-unsigned-authorization-request-without-using-par-fails',
    'par-attempt-reuse-request_uri',
    'par-attempt-to-use-expired-request_uri',
    'par-attempt-to-use-request_uri-for-different-client',
  )
  // The first visit ends before anybody has signed in.
  const first = { ...authorize(does.seeSignIn('update-image-placeholder-optional')), 'match-limit': 1 }
  return [
    [refused, eitherWay(ways)],
    [modules('user-rejects-authentication'), authorize(does.cancel, does.callback)],
    [modules('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds'), first, willing()],
  ]
}
