import type { UpstreamKind } from '../connector.ts'

/** Any OpenID Provider with discovery; without, its endpoints are given. */
export const oidcKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'OpenID Connect',
  documentation: 'https://openid.net/specs/openid-connect-core-1_0.html',
  settings: {
    scope: 'openid profile email',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
    disclosure: 'subject',
  },
  asks: { issuer: 'as the provider writes it in its ID tokens' },
  vouchesForEmail: true,
  provesAfresh: true,
}
