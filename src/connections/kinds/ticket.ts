import type { UpstreamKind } from '../connector.ts'

/**
 * Accounts of a shop or an application that speaks no OpenID Connect: its server vouches for them, as a client that an
 * administrator lets do so. Nobody is ever sent there, so its client and its secret are nobody's.
 */
export const ticketKind: UpstreamKind = {
  protocol: 'ticket',
  title: 'Link ticket',
  documentation: 'https://www.rfc-editor.org/rfc/rfc6749#section-4.4',
  settings: {
    scope: 'none',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
    disclosure: 'subject',
  },
  asks: {
    issuer: 'the address of the shop; with the subject it is the name of an account for good',
  },
  vouchesForEmail: false,
  provesAfresh: false,
}
