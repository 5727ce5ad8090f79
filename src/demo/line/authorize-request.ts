import type { AuthorizationRequest, LiffApp, LoginChannel, ResponseMode, Settings } from './state.ts'

type AuthorizationError = {
  redirectUri: string
  responseMode: ResponseMode
  state: string | undefined
  error: string
  description: string
}

export type RequestDecision =
  | { outcome: 'refuse_on_page'; text: 'invalidRedirectUri' }
  | { outcome: 'refuse_by_redirect'; error: AuthorizationError }
  | { outcome: 'accept'; request: AuthorizationRequest }

/**
 * Judges the parameters of `GET /oauth2/v2.1/authorize`, in the order LINE reports them.
 * @see https://developers.line.biz/en/docs/line-login/integrate-line-login/
 */
export function decideRequest(
  params: URLSearchParams,
  channel: LoginChannel,
  stateCharset: Settings['stateCharset'],
): RequestDecision {
  const redirectUri = params.get('redirect_uri') ?? ''
  // An address that was not registered never receives a redirect (RFC 6749 section 4.1.2.1).
  if (!isRegistered(redirectUri, channel.callbackUrls)) {
    return { outcome: 'refuse_on_page', text: 'invalidRedirectUri' }
  }
  const responseMode = readResponseMode(params.get('response_mode'))
  const state = params.get('state') ?? undefined
  const fault = findFault(params, stateCharset)
  if (fault) {
    const [error, description] = fault
    return {
      outcome: 'refuse_by_redirect',
      error: { redirectUri, responseMode: responseMode ?? 'query', state, error, description },
    }
  }
  return {
    outcome: 'accept',
    request: readRequest(params, channel.id, redirectUri, responseMode ?? 'query'),
  }
}

/** Scheme, host and path are compared exactly; registered query parameters must be there, others may be. */
function isRegistered(redirectUri: string, callbackUrls: string[]): boolean {
  if (!URL.canParse(redirectUri) || redirectUri.includes('#')) return false
  const [base, query = ''] = splitQuery(redirectUri)
  const sent = [...new URLSearchParams(query)].map(String)
  return callbackUrls.some((callbackUrl) => {
    const [registeredBase, registeredQuery = ''] = splitQuery(callbackUrl)
    const required = [...new URLSearchParams(registeredQuery)].map(String)
    return base === registeredBase && required.every((parameter) => sent.includes(parameter))
  })
}

function splitQuery(url: string): [string, string?] {
  const mark = url.indexOf('?')
  return mark < 0 ? [url] : [url.slice(0, mark), url.slice(mark + 1)]
}

function readResponseMode(value: string | null): ResponseMode | undefined {
  switch (value) {
    case null:
    case 'query':
      return 'query'
    case 'jwt':
    case 'query.jwt':
      return 'query.jwt'
    case 'form_post':
    case 'form_post.jwt':
      return value
    default:
      return undefined
  }
}

function findFault(
  params: URLSearchParams,
  stateCharset: Settings['stateCharset'],
): [string, string] | undefined {
  const invalid = (name: string): [string, string] => ['INVALID_REQUEST', `'${name}' is invalid.`]
  const missing = (name: string): [string, string] => ['INVALID_REQUEST', `'${name}' is not specified.`]

  if (!params.get('response_type')) return missing('response_type')
  if (params.get('response_type') !== 'code') {
    return ['UNSUPPORTED_RESPONSE_TYPE', "'response_type' is not supported."]
  }
  if (!readResponseMode(params.get('response_mode'))) return invalid('response_mode')
  const state = params.get('state')
  if (!state) return missing('state')
  if (stateCharset === 'alnum' && !/^[A-Za-z0-9]+$/.test(state)) return invalid('state')
  if (!params.get('scope')) return missing('scope')
  if (!isScopeValid(scopesOf(params))) return ['INVALID_SCOPE', 'The requested scope is invalid.']
  if (!arePromptsValid(promptsOf(params))) return invalid('prompt')
  const badOption = Object.entries(optionPatterns).find(([name, pattern]) => {
    const value = params.get(name)
    return value !== null && !pattern.test(value)
  })
  if (badOption) return invalid(badOption[0])
  return findPkceFault(params, invalid, missing)
}

const optionPatterns = {
  max_age: /^\d+$/,
  bot_prompt: /^(normal|aggressive)$/,
  initial_amr_display: /^lineqr$/,
  switch_amr: /^(true|false)$/,
  disable_auto_login: /^(true|false)$/,
  disable_ios_auto_login: /^(true|false)$/,
}

/** RFC 7636 section 4.3; LINE knows no `plain`, so the method must be named. */
function findPkceFault(
  params: URLSearchParams,
  invalid: (name: string) => [string, string],
  missing: (name: string) => [string, string],
): [string, string] | undefined {
  const challenge = params.get('code_challenge')
  const method = params.get('code_challenge_method')
  if (challenge === null && method === null) return undefined
  if (challenge === null) return missing('code_challenge')
  if (method !== 'S256') return invalid('code_challenge_method')
  return /^[A-Za-z0-9_-]{43}$/.test(challenge) ? undefined : invalid('code_challenge')
}

function isScopeValid(scopes: string[]): boolean {
  if (!scopes.every((scope) => ['openid', 'profile', 'email'].includes(scope))) return false
  return scopes.includes('openid') || (scopes.includes('profile') && !scopes.includes('email'))
}

function arePromptsValid(prompts: string[]): boolean {
  if (!prompts.every((prompt) => ['none', 'consent', 'login'].includes(prompt))) return false
  // OIDC Core 3.1.2.1: `none` stands alone.
  return !prompts.includes('none') || prompts.length === 1
}

function scopesOf(params: URLSearchParams): string[] {
  return [...new Set((params.get('scope') ?? '').split(' ').filter(Boolean))]
}

function promptsOf(params: URLSearchParams): string[] {
  return (params.get('prompt') ?? '').split(' ').filter(Boolean)
}

function readRequest(
  params: URLSearchParams,
  clientId: string,
  redirectUri: string,
  responseMode: ResponseMode,
): AuthorizationRequest {
  const optional = {
    uiLocales: params.get('ui_locales'),
    nonce: params.get('nonce'),
    maxAgeSeconds: params.has('max_age') ? Number(params.get('max_age')) : null,
    botPrompt: params.get('bot_prompt'),
    codeChallenge: params.get('code_challenge'),
  }
  return {
    clientId,
    redirectUri,
    responseMode,
    state: params.get('state') ?? '',
    scopes: scopesOf(params),
    prompts: promptsOf(params),
    showQrFirst: params.get('initial_amr_display') === 'lineqr',
    maySwitchMethod: params.get('switch_amr') !== 'false',
    disableAutoLogin:
      params.get('disable_auto_login') === 'true' || params.get('disable_ios_auto_login') === 'true',
    ...(Object.fromEntries(
      Object.entries(optional).filter(([, value]) => value !== null),
    ) as Partial<AuthorizationRequest>),
  }
}

/** What `liff.login()` asks for: everything but the address is settled by the LIFF app itself. */
export function liffRequest(
  params: URLSearchParams,
  channel: LoginChannel,
  app: LiffApp,
  redirectUri: string,
): AuthorizationRequest {
  const request = readRequest(params, channel.id, redirectUri, 'query')
  return {
    ...request,
    scopes: app.scopes,
    liffId: app.id,
    ...(app.botPrompt === 'off' ? {} : { botPrompt: app.botPrompt }),
  }
}
