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
  /** When the access token runs out, in seconds since 1970; unset where the upstream does not say. */
  expiresAt?: number
}

export type Claims = Record<string, unknown>

/** What an upstream said of an account, as it said it. */
export interface ReceivedClaims {
  idToken?: Claims
  userinfo?: Claims
}

export type UpstreamAnswer =
  | { outcome: 'verified'; identity: VerifiedIdentity; tokens: UpstreamTokens; received: ReceivedClaims }
  | { outcome: 'cancelled' }
  | { outcome: 'refused'; error: string; description?: string }

/** `revoked`: the upstream stands behind these tokens no more. */
export type RefreshOutcome = { outcome: 'refreshed'; tokens: UpstreamTokens } | { outcome: 'revoked' }

/** What only an operator can know of an upstream, by the setting it is for. */
export type Asked = 'issuer' | 'discovery' | 'endpoints' | 'userinfo' | 'claims' | 'signer'

/** How an upstream tells that a member has withdrawn there. */
export type WithdrawalNotice = 'risc' | 'apple' | 'deauthorize_callback' | 'line_webhook'

/** The difference between one kind of upstream and its protocol; what is absent is as the standard says. */
export interface UpstreamKind {
  /**
   * OAuth 2.0 says nothing of accounts: then a userinfo document is read as `settings.claims` says. Of `ticket` there is
   * nothing to talk to: a relying party says whose account it is.
   */
  protocol: 'oidc' | 'oauth2' | 'ticket'
  title: string
  /** Where the upstream's own documentation says what is stated here. */
  documentation: string
  /** Its issuer, where it is one for all the world. */
  issuer?: string
  settings: ConnectionSettings
  /** What has to be given besides a client and its secret, and where it is found. */
  asks: Partial<Record<Asked, string>>
  /** Whether it says at all that an address is verified. */
  vouchesForEmail: boolean
  /** What else than `true` says so, by its own documentation. */
  verifiedAs?: readonly unknown[]
  /** Whether it can be made to ask anew who it is (OpenID Connect Core 3.1.2.1: prompt=login, max_age). */
  provesAfresh: boolean
  withdrawalNotice?: WithdrawalNotice
  /** The secret is a private key that signs one for each request (PKCS #8, P-256). */
  secretIsKey?: boolean
  /** Further parameters of the authorization request. */
  authorizationParams?(attempt: Attempt): Record<string, string>
  /** Whether the answer comes as a form (OAuth 2.0 Form Post Response Mode). */
  answersByForm?(settings: ConnectionSettings): boolean
  /** What the answer itself calls the member, beside its proof. */
  nameIn?(answer: URLSearchParams): string | undefined
  /** Tells the upstream that the link ended, where that takes more than revoking the tokens. */
  deauthorize?(request: DeauthorizeRequest): Promise<void>
}

export interface DeauthorizeRequest {
  connection: Connection
  clientSecret: string
  tokenEndpoint: string
  subject: string
  tokens: UpstreamTokens
  fetch: Outbound
}
