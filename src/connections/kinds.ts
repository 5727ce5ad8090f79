import type { UpstreamKind } from './connector.ts'
import { lineKind } from './line.ts'
import type { KindName } from './settings.ts'

/** Any OpenID Provider with discovery. */
const oidcKind: UpstreamKind = {
  settings: {
    scope: 'openid profile email',
    clientAuthentication: 'client_secret_basic',
    trustEmail: false,
    authorizationParams: {},
  },
}

/** What sets a kind of upstream apart from plain OpenID Connect. */
export function kindOf(name: KindName): UpstreamKind {
  return name === 'line' ? lineKind : oidcKind
}
