import type { UpstreamKind } from '../connector.ts'

/**
 * X: OAuth 2.0 with PKCE, confidential clients by Basic authentication. `users/me` takes the two scopes for reading;
 * `offline.access` is what gives a refresh token. An address is a permission of its own, and comes without any word on it.
 * @see https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token
 * @see https://docs.x.com/x-api/users/lookup/integrate
 */
export const xKind: UpstreamKind = {
  protocol: 'oauth2',
  title: 'X',
  documentation: 'https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token',
  issuer: 'https://x.com',
  settings: {
    scope: 'users.read tweet.read offline.access',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
    endpoints: {
      authorization: 'https://x.com/i/oauth2/authorize',
      token: 'https://api.x.com/2/oauth2/token',
      userinfo: 'https://api.x.com/2/users/me',
      revocation: 'https://api.x.com/2/oauth2/revoke',
    },
    claims: { subject: 'data.id', subjectType: 'text', name: 'data.name' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: false,
  provesAfresh: false,
}
