import type { UpstreamKind } from '../connector.ts'
import { oidcKind } from './oidc.ts'

const handedOut = 'in the manual that docomo hands to registered companies'

/**
 * dアカウント・コネクト speaks OpenID Connect; everything else about it is in manuals that only registered companies get.
 * @see https://id.smt.docomo.ne.jp/src/dlogin/ctop_method.html
 */
export const dAccountKind: UpstreamKind = {
  ...oidcKind,
  title: 'd ACCOUNT',
  documentation: 'https://id.smt.docomo.ne.jp/src/dlogin/ctop_method.html',
  settings: { ...oidcKind.settings, scope: 'openid' },
  asks: { issuer: handedOut },
  provesAfresh: false,
}
