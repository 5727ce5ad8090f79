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
    refusal: (path: string) =>
      page('See the refusal', at(`${path}*`), waitFor(words('error.request'), 'update-image-placeholder')),
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
  const { optional } = does
  const authorize = (...tasks: Task[]): Script => ({ match: `${issuer}${routes.authorization}*`, tasks })
  const signOut = (...tasks: Task[]): Script => ({ match: `${issuer}${routes.end_session}*`, tasks })
  const willing = (picture?: Picture) =>
    authorize(optional(does.signIn(picture)), optional(does.consent), optional(does.answer), does.callback)
  const refused = does.refusal(routes.authorization)

  const override: Record<string, Script[]> = {}
  const set = (modules: string[], ...browser: Script[]) => {
    for (const module of modules) override[module] = browser
  }
  set(['oidcc-prompt-login', 'oidcc-max-age-1'], willing('update-image-placeholder-optional'))
  set(
    [
      'oidcc-ensure-registered-redirect-uri',
      'oidcc-ensure-redirect-uri-in-authorization-request',
      'oidcc-redirect-uri-query-mismatch',
      'oidcc-redirect-uri-query-added',
    ],
    authorize(refused),
  )
  set(
    ['oidcc-registration-logo-uri', 'oidcc-registration-policy-uri', 'oidcc-registration-tos-uri'],
    authorize(optional(does.signIn()), does.seeConsent),
  )
  set(
    [
      'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
      'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
      'oidcc-rp-initiated-logout-modified-id-token-hint',
      'oidcc-rp-initiated-logout-bad-id-token-hint',
    ],
    willing(),
    signOut(does.refusal(routes.end_session)),
  )
  set(['oidcc-rp-initiated-logout-no-id-token-hint'], willing(), signOut(does.seeSignOut))
  set(
    [
      'oidcc-rp-initiated-logout-no-params',
      'oidcc-rp-initiated-logout-only-state',
      'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
    ],
    willing(),
    signOut(does.signOut, does.signedOut),
  )
  Object.assign(override, fapiOverrides(does, authorize, willing))
  return {
    browser: [willing(), signOut(does.signOut, does.goodbye)],
    override: Object.fromEntries(Object.entries(override).map(([module, browser]) => [module, { browser }])),
  }
}

function fapiOverrides(
  does: ReturnType<typeof tasksOf>,
  authorize: (...tasks: Task[]) => Script,
  willing: () => Script,
): Record<string, Script[]> {
  const { optional } = does
  const nameOf = (module: string) => `fapi2-security-profile-final-${module}`
  const seen = does.seeSignIn('update-image-placeholder-optional')
  // A refusal is a page where the request that says where to go back to cannot be had, and an answer otherwise.
  const refused = authorize(
    optional(does.signIn()),
    optional(does.consent),
    optional(does.refusal(routes.authorization)),
    optional(does.callback),
  )
  const refusing = [
    'ensure-unsigned-authorization-request-without-using-par-fails',
    'par-attempt-reuse-request_uri',
    'par-attempt-to-use-expired-request_uri',
    'par-attempt-to-use-request_uri-for-different-client',
  ]
  return {
    [nameOf('user-rejects-authentication')]: [authorize(does.cancel, does.callback)],
    // The first visit ends before anybody has signed in.
    [nameOf('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds')]: [
      { ...authorize(seen), 'match-limit': 1 },
      willing(),
    ],
    ...Object.fromEntries(refusing.map((module) => [nameOf(module), [refused]])),
  }
}
