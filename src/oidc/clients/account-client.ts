import type { ClientMetadata } from 'oidc-provider'
import type { SignInUrl } from '../../http/signed-in.ts'
import { routes } from '../routes.ts'

/** Our own pages sign members in through the same authorization endpoint as everybody else, as this client. */
export const accountClientId = 'hitotsu-account'
export const accountReturnPath = '/account/return'

/** It receives nothing but the browser: `response_type=none` (OAuth 2.0 Multiple Response Type Encoding Practices section 4). */
export function accountClient(issuer: string): ClientMetadata {
  return {
    client_id: accountClientId,
    client_name: 'Hitotsu',
    redirect_uris: [`${issuer}${accountReturnPath}`],
    post_logout_redirect_uris: [`${issuer}/`],
    response_types: ['none'],
    grant_types: [],
    token_endpoint_auth_method: 'none',
    scope: 'openid',
  }
}

/** `state` carries the path to come back to; whoever reads it must pass it through `returnTo`. */
export function accountSignInUrl(issuer: string): SignInUrl {
  return (path, how) => {
    const parameters = new URLSearchParams({
      client_id: accountClientId,
      response_type: 'none',
      scope: 'openid',
      redirect_uri: `${issuer}${accountReturnPath}`,
      state: path,
      // Not max_age: with a clock or a rounding of its own the engine could find recent what the page does not, for ever.
      ...(how === 'afresh' && { prompt: 'login' }),
    })
    return `${routes.authorization}?${parameters}`
  }
}

export function accountSignOutUrl(issuer: string): string {
  const parameters = new URLSearchParams({
    client_id: accountClientId,
    post_logout_redirect_uri: `${issuer}/`,
  })
  return `${routes.end_session}?${parameters}`
}
