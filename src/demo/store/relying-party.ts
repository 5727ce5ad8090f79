import * as oidc from 'openid-client'

export interface RelyingPartySettings {
  issuer: string
  clientId: string
  clientSecret: string
  redirectUri: string
  postLogoutRedirectUri: string
}

/** What must survive in the browser's session until the issuer sends it back. */
export interface PendingSignIn {
  state: string
  nonce: string
  codeVerifier: string
  returnTo: string
}

export interface SignedIn {
  subject: string
  idTokenClaims: Record<string, unknown>
  userinfo: Record<string, unknown>
  tokens: { idToken: string; refreshToken: string | undefined }
  refreshedAt: Date
}

export interface RelyingParty {
  /** `link` names a connection of the issuer's that the member is to link on the way. */
  begin(returnTo: string, link?: string): Promise<{ url: URL; pending: PendingSignIn }>
  /** Throws what openid-client throws; `explainFailure` turns it into words. */
  complete(callbackUrl: URL, pending: PendingSignIn): Promise<SignedIn>
  refresh(signedIn: SignedIn): Promise<SignedIn>
  /** Undefined when the issuer offers no sign-out of its own. */
  endSessionUrl(signedIn: SignedIn): Promise<URL | undefined>
  /** The issuer's prompt to link an account: its script, or with `prompt` the page of the same. */
  linkPromptUrl(name: 'link-prompt.js' | 'prompt', connection: string, returnTo?: string): string
}

const scope = 'openid profile email offline_access linked_accounts'
const discoveryTimeoutSeconds = 5

/** The store as a relying party; the issuer is looked up at first use, because it may start later. */
export function createRelyingParty(settings: RelyingPartySettings, now: () => Date): RelyingParty {
  const connect = connectLazily(settings)

  return {
    linkPromptUrl(name, connection, returnTo) {
      const query = new URLSearchParams({ client: settings.clientId, connection })
      if (returnTo) query.set('return_to', new URL(returnTo, settings.redirectUri).href)
      return `${settings.issuer}/${name}?${query}`
    },
    async begin(returnTo, link) {
      const config = await connect()
      const pending = {
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        codeVerifier: oidc.randomPKCECodeVerifier(),
        returnTo,
      }
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: settings.redirectUri,
        scope,
        // OIDC Core 11: without prompt=consent the issuer drops offline_access.
        prompt: 'consent',
        ...(link && { link_connection: link }),
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(pending.codeVerifier),
        code_challenge_method: 'S256',
      })
      return { url, pending }
    },
    async complete(callbackUrl, pending) {
      const config = await connect()
      const tokens = await oidc.authorizationCodeGrant(config, callbackUrl, {
        pkceCodeVerifier: pending.codeVerifier,
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      })
      return readTokens(config, tokens, undefined, now())
    },
    async refresh(signedIn) {
      const config = await connect()
      const { refreshToken } = signedIn.tokens
      if (!refreshToken) throw new NoRefreshToken('No refresh token was issued')
      return readTokens(config, await oidc.refreshTokenGrant(config, refreshToken), signedIn, now())
    },
    async endSessionUrl(signedIn) {
      const config = await connect()
      if (!config.serverMetadata().end_session_endpoint) return undefined
      return oidc.buildEndSessionUrl(config, {
        id_token_hint: signedIn.tokens.idToken,
        post_logout_redirect_uri: settings.postLogoutRedirectUri,
      })
    },
  }
}

/** Discovery happens once; a failure is not remembered, so the next visitor tries again. */
function connectLazily(settings: RelyingPartySettings): () => Promise<oidc.Configuration> {
  let connection: Promise<oidc.Configuration> | undefined
  const issuer = new URL(settings.issuer)
  // OIDC Core 3.1.3.7 (6) lets TLS stand in for the signature; the demo speaks http, so it is checked.
  const execute = [oidc.enableNonRepudiationChecks]
  if (issuer.protocol === 'http:') execute.push(oidc.allowInsecureRequests)

  async function discover(): Promise<oidc.Configuration> {
    try {
      const authentication = oidc.ClientSecretBasic(settings.clientSecret)
      return await oidc.discovery(issuer, settings.clientId, undefined, authentication, {
        execute,
        timeout: discoveryTimeoutSeconds,
      })
    } catch (error) {
      connection = undefined
      throw new IssuerUnavailable('The issuer cannot be reached', { cause: error })
    }
  }
  return () => {
    connection ??= discover()
    return connection
  }
}

type Tokens = Awaited<ReturnType<typeof oidc.authorizationCodeGrant>>

async function readTokens(
  config: oidc.Configuration,
  tokens: Tokens,
  before: SignedIn | undefined,
  refreshedAt: Date,
): Promise<SignedIn> {
  // OIDC Core 12.2: a refresh may come without an ID token, and one that comes keeps the subject.
  const claims = tokens.claims()
  const subject = before?.subject ?? claims?.sub
  const idToken = tokens.id_token ?? before?.tokens.idToken
  if (!subject || !idToken || (claims && claims.sub !== subject))
    throw new SubjectChanged('The tokens speak of another subject')
  return {
    subject,
    idTokenClaims: claims ?? before?.idTokenClaims ?? {},
    // OIDC Core 5.3.2: userinfo of another subject must not be used.
    userinfo: await oidc.fetchUserInfo(config, tokens.access_token, subject),
    tokens: { idToken, refreshToken: tokens.refresh_token ?? before?.tokens.refreshToken },
    refreshedAt,
  }
}

class IssuerUnavailable extends Error {}
class NoRefreshToken extends Error {}
class SubjectChanged extends Error {}

export type FailureReason = 'declined' | 'expired' | 'unavailable' | 'withdrawn' | 'refused'

export interface Failure {
  reason: FailureReason
  /** For whoever runs the demo: the protocol's own words. */
  detail: string
}

/** Words for what the issuer or the way to it did wrong; undefined for a bug of our own. */
export function explainFailure(error: unknown): Failure | undefined {
  if (error instanceof IssuerUnavailable) return { reason: 'unavailable', detail: messageOf(error.cause) }
  if (error instanceof NoRefreshToken) return { reason: 'withdrawn', detail: error.message }
  if (error instanceof SubjectChanged) return { reason: 'refused', detail: error.message }
  if (error instanceof oidc.AuthorizationResponseError) {
    const reason = error.error === 'access_denied' ? 'declined' : 'refused'
    return { reason, detail: oauthDetail(error.error, error.error_description) }
  }
  if (error instanceof oidc.ResponseBodyError) {
    const reason = error.error === 'invalid_grant' ? 'withdrawn' : 'refused'
    return { reason, detail: oauthDetail(error.error, error.error_description) }
  }
  if (error instanceof oidc.WWWAuthenticateChallengeError)
    return { reason: 'withdrawn', detail: error.message }
  if (error instanceof oidc.ClientError) return { reason: 'refused', detail: messageOf(error) }
  // fetch reports a broken connection as a TypeError whose cause is the system's error.
  if (error instanceof TypeError && error.cause) return { reason: 'unavailable', detail: messageOf(error) }
  return undefined
}

function oauthDetail(code: string, description: string | undefined): string {
  return description ? `${code}: ${description}` : code
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message
}
