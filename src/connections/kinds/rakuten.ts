import type { UpstreamKind } from '../connector.ts'
import { oidcKind } from './oidc.ts'

const agreed = 'in what Rakuten hands to companies it has an agreement with'

/**
 * Rakuten publishes how its shopping APIs are authorized, without `state`, and nothing on signing members in. What a
 * company has agreed with it is given; its public authorization endpoint must never be.
 * @see https://webservice.rakuten.co.jp/documentation/oauth
 */
export const rakutenKind: UpstreamKind = {
  ...oidcKind,
  title: 'Rakuten',
  documentation: 'https://webservice.rakuten.co.jp/documentation/oauth',
  settings: { ...oidcKind.settings, scope: 'openid' },
  asks: { issuer: agreed },
  provesAfresh: false,
}
