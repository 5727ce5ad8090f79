import type { UpstreamKind } from '../connector.ts'

/**
 * Sign in with Google. `access_type=offline` is what it takes to get a refresh token, which ending the consent at an
 * unlink needs. The parameters it documents cannot make it ask anew who it is.
 * @see https://developers.google.com/identity/openid-connect/reference
 */
export const googleKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'Google',
  documentation: 'https://developers.google.com/identity/openid-connect/openid-connect',
  issuer: 'https://accounts.google.com',
  settings: {
    scope: 'openid profile email',
    clientAuthentication: 'client_secret_post',
    idTokenSigningAlg: 'RS256',
    trustEmail: false,
    authorizationParams: { access_type: 'offline' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: true,
  provesAfresh: false,
  withdrawalNotice: 'risc',
}
