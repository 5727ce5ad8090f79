import type { UpstreamKind } from '../connector.ts'

/**
 * Customer accounts of a Shopify shop: OpenID Connect, discovered at the shop's own domain, where the document names
 * the shop's issuer. The name of a customer is only told by its GraphQL API.
 * @see https://shopify.dev/docs/api/customer/latest
 */
export const shopifyKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'Shopify',
  documentation: 'https://shopify.dev/docs/api/customer/latest',
  settings: {
    scope: 'openid email customer-account-api:full',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
    disclosure: 'subject',
  },
  asks: {
    discovery: "https://<the shop's domain>/.well-known/openid-configuration",
    issuer: 'as that document names it',
  },
  vouchesForEmail: true,
  provesAfresh: false,
}
