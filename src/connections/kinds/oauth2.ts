import type { UpstreamKind } from '../connector.ts'

/** Any authorization server of OAuth 2.0 with an address that tells, for an access token, whose account it is. */
export const oauth2Kind: UpstreamKind = {
  protocol: 'oauth2',
  title: 'OAuth 2.0',
  documentation: 'https://www.rfc-editor.org/rfc/rfc6749',
  settings: {
    scope: 'profile',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
    disclosure: 'subject',
  },
  asks: {
    issuer: 'an address that stands for the upstream; with the subject it is the name of an account for good',
    userinfo: 'the address that tells, for an access token, whose account it is',
    claims: 'where in its answer the subject is',
  },
  vouchesForEmail: true,
  provesAfresh: false,
}
