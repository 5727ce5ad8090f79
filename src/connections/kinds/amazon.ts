import type { UpstreamKind } from '../connector.ts'

/**
 * Login with Amazon: OAuth 2.0 and a profile. It tells an address and never whether it is verified.
 * @see https://developer.amazon.com/docs/login-with-amazon/authorization-code-grant.html
 * @see https://developer.amazon.com/docs/login-with-amazon/obtain-customer-profile.html
 */
export const amazonKind: UpstreamKind = {
  protocol: 'oauth2',
  title: 'Amazon',
  documentation: 'https://developer.amazon.com/docs/login-with-amazon/authorization-code-grant.html',
  issuer: 'https://www.amazon.com',
  settings: {
    scope: 'profile',
    clientAuthentication: 'client_secret_post',
    trustEmail: false,
    authorizationParams: {},
    endpoints: {
      authorization: 'https://www.amazon.com/ap/oa',
      token: 'https://api.amazon.com/auth/o2/token',
      userinfo: 'https://api.amazon.com/user/profile',
    },
    claims: { subject: 'user_id', subjectType: 'text', name: 'name', email: 'email' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: false,
  provesAfresh: false,
}
