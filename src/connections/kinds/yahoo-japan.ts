import type { UpstreamKind } from '../connector.ts'

/**
 * Yahoo! ID連携 v2. With `bail=1` a member who declines comes back here; else Yahoo! keeps them on its own front page.
 * Tokens end by themselves: there is no address to revoke them at.
 * @see https://developer.yahoo.co.jp/yconnect/v2/authorization_code/authorization.html
 * @see https://developer.yahoo.co.jp/yconnect/v2/authorization_code/configuration.html
 */
export const yahooJapanKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'Yahoo! JAPAN',
  documentation: 'https://developer.yahoo.co.jp/yconnect/v2/',
  issuer: 'https://auth.login.yahoo.co.jp/yconnect/v2',
  settings: {
    scope: 'openid profile email',
    clientAuthentication: 'client_secret_basic',
    idTokenSigningAlg: 'RS256',
    trustEmail: false,
    authorizationParams: { bail: '1' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: true,
  provesAfresh: true,
}
