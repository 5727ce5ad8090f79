import type { Locale } from '../http/i18n.ts'
import type { Outbound } from '../http/outbound.ts'
import type { Connection, ConnectionSettings } from './settings.ts'

/** One trip of one browser to an upstream. Everything in it is new for each trip. */
export interface Attempt {
  redirectUri: string
  state: string
  nonce: string
  codeVerifier: string
  locale: Locale
  /** The member has to prove anew who they are: no session at the upstream will do. */
  forceSignIn: boolean
  /** A trip like this has failed before because the upstream came back in another browser. */
  isRetry: boolean
}

/** An upstream account whose holder is in front of us; validated, not yet linked to anybody. */
export interface VerifiedIdentity {
  connectionId: string
  issuer: string
  subject: string
  profile: { name?: string; email?: string }
  /** True only where the connection's word on addresses is believed and it vouched for this one. */
  emailVerified: boolean
}

export interface UpstreamTokens {
  accessToken: string
  refreshToken?: string
}

export type UpstreamAnswer =
  | { outcome: 'verified'; identity: VerifiedIdentity; tokens: UpstreamTokens }
  | { outcome: 'cancelled' }
  | { outcome: 'refused'; error: string }

/** The difference between one kind of upstream and plain OpenID Connect; what is absent is as the standard says. */
export interface UpstreamKind {
  settings: ConnectionSettings
  /** Further parameters of the authorization request. */
  authorizationParams?(attempt: Attempt): Record<string, string>
  /** Tells the upstream that the link ended, where that takes more than revoking the tokens. */
  deauthorize?(request: DeauthorizeRequest): Promise<void>
}

export interface DeauthorizeRequest {
  connection: Connection
  clientSecret: string
  tokenEndpoint: string
  tokens: UpstreamTokens
  fetch: Outbound
}
