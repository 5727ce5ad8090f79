import { jwtVerify } from 'jose'
import * as client from 'openid-client'
import type { Outbound } from '../http/outbound.ts'
import { Problem } from '../problem.ts'
import type { Sealer } from '../security/seal.ts'
import { openSecret } from './connection.ts'
import type { Attempt, UpstreamAnswer, UpstreamTokens, VerifiedIdentity } from './connector.ts'
import { type IdTokenAnswer, idTokenVerifier, type PresentedIdToken } from './id-token.ts'
import { toIdentity, usableSubject } from './identity-claims.ts'
import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'

/** Talks to upstream OpenID Providers as a relying party, for every connection of every kind. */
export interface OidcConnector {
  /** Where to send the browser. @throws Problem upstream_unreachable */
  authorizationUrl(connection: Connection, attempt: Attempt): Promise<URL>
  /** Judges the upstream's answer to `attempt`. @throws Problem upstream_unreachable, unexpected_upstream_answer */
  complete(connection: Connection, attempt: Attempt, answer: URLSearchParams): Promise<UpstreamAnswer>
  /** Judges an ID token that an application got from the upstream by itself. @throws Problem upstream_unreachable */
  verifyIdToken(connection: Connection, presented: PresentedIdToken): Promise<IdTokenAnswer>
  /** Ends the tokens, and what they stand for, at the upstream. Rejects when it could not be told now. */
  revoke(connection: Connection, tokens: UpstreamTokens): Promise<void>
  /** What discovery says of a connection. @throws Problem as above */
  discover(connection: Connection): Promise<client.ServerMetadata>
}

/** A provider's metadata is read again after this long. */
const discoveryLifeMs = 600_000
const maxCachedConnections = 200

export function createOidcConnector({
  sealer,
  fetch,
  now,
}: {
  sealer: Sealer
  fetch: Outbound
  now: () => Date
}): OidcConnector {
  const cache = new Map<
    string,
    { version: number; readAt: number; configuration: Promise<client.Configuration> }
  >()

  const configurationOf = (connection: Connection): Promise<client.Configuration> => {
    const version = connection.updatedAt.getTime()
    const known = cache.get(connection.id)
    if (known?.version === version && now().getTime() - known.readAt < discoveryLifeMs)
      return known.configuration
    const configuration = discover(connection, openSecret(sealer, connection), fetch)
    if (cache.size >= maxCachedConnections) cache.clear()
    cache.set(connection.id, { version, readAt: now().getTime(), configuration })
    configuration.catch(() => cache.delete(connection.id))
    return configuration
  }

  const verify = idTokenVerifier(fetch, now)

  return {
    async authorizationUrl(connection, attempt) {
      const configuration = await configurationOf(connection).catch(asProblem)
      return client.buildAuthorizationUrl(configuration, await authorizationParams(connection, attempt))
    },
    async complete(connection, attempt, answer) {
      const configuration = await configurationOf(connection).catch(asProblem)
      const answered = await exchange(configuration, attempt, answer).then(
        (tokens) => ({ tokens }),
        asRefusal,
      )
      if ('outcome' in answered) return answered
      const { tokens } = answered
      const identity = await readIdentity(
        connection,
        configuration,
        tokens,
        openSecret(sealer, connection),
      ).catch(asProblem)
      const { access_token: accessToken, refresh_token: refreshToken } = tokens
      return { outcome: 'verified', identity, tokens: { accessToken, ...(refreshToken && { refreshToken }) } }
    },
    async verifyIdToken(connection, presented) {
      const configuration = await configurationOf(connection).catch(asProblem)
      return verify(connection, configuration.serverMetadata().jwks_uri, presented).catch(asProblem)
    },
    async revoke(connection, tokens) {
      const configuration = await configurationOf(connection)
      const { token_endpoint: tokenEndpoint, revocation_endpoint: revocationEndpoint } =
        configuration.serverMetadata()
      const { deauthorize } = kindOf(connection.kind)
      if (deauthorize && tokenEndpoint) {
        return deauthorize({
          connection,
          clientSecret: openSecret(sealer, connection),
          tokenEndpoint,
          tokens,
          fetch,
        })
      }
      // RFC 7009 section 2.1: revoking the refresh token ends the whole grant.
      if (revocationEndpoint)
        await client.tokenRevocation(configuration, tokens.refreshToken ?? tokens.accessToken)
    },
    async discover(connection) {
      return (await configurationOf(connection).catch(asProblem)).serverMetadata()
    },
  }
}

async function discover(
  { issuer, clientId, settings }: Connection,
  secret: string,
  fetch: Outbound,
): Promise<client.Configuration> {
  const { idTokenSigningAlg, clientAuthentication } = settings
  const authenticate =
    clientAuthentication === 'client_secret_post'
      ? client.ClientSecretPost(secret)
      : client.ClientSecretBasic(secret)
  const metadata = {
    client_secret: secret,
    ...(idTokenSigningAlg && { id_token_signed_response_alg: idTokenSigningAlg }),
  }
  return client.discovery(new URL(issuer), clientId, metadata, authenticate, {
    [client.customFetch]: fetch as client.CustomFetch,
    execute: [
      // http is for upstreams on this machine: the outbound fetch lets it reach listed private hosts alone.
      ...(issuer.startsWith('http:') ? [client.allowInsecureRequests] : []),
      ...(idTokenSigningAlg === 'HS256' ? [] : [client.enableNonRepudiationChecks]),
    ],
  })
}

async function authorizationParams(
  connection: Connection,
  attempt: Attempt,
): Promise<Record<string, string>> {
  const { settings, kind } = connection
  return {
    ...settings.authorizationParams,
    ...kindOf(kind).authorizationParams?.(attempt),
    redirect_uri: attempt.redirectUri,
    scope: settings.scope,
    state: attempt.state,
    nonce: attempt.nonce,
    // RFC 7636 section 4.2
    code_challenge: await client.calculatePKCECodeChallenge(attempt.codeVerifier),
    code_challenge_method: 'S256',
    ui_locales: attempt.locale,
    ...(attempt.forceSignIn && { prompt: 'login', max_age: '0' }),
  }
}

type Tokens = Awaited<ReturnType<typeof client.authorizationCodeGrant>>

/** Checks state, iss (RFC 9207 section 2.4), nonce and the ID token (OpenID Connect Core 3.1.3.7). */
function exchange(
  configuration: client.Configuration,
  attempt: Attempt,
  answer: URLSearchParams,
): Promise<Tokens> {
  const url = new URL(attempt.redirectUri)
  url.search = answer.toString()
  return client.authorizationCodeGrant(configuration, url, {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
    idTokenExpected: true,
    ...(attempt.forceSignIn && { maxAge: 60 }),
  })
}

async function readIdentity(
  connection: Connection,
  configuration: client.Configuration,
  tokens: Tokens,
  secret: string,
): Promise<VerifiedIdentity> {
  const claims = tokens.claims()
  if (!claims || !tokens.id_token) throw new Error('the upstream sent no ID token')
  const { issuer, clientId, settings } = connection
  if (settings.idTokenSigningAlg === 'HS256') {
    // OpenID Connect Core 3.1.3.7 (8): the key is the client secret. The algorithm is ours to say, never the token's.
    await jwtVerify(tokens.id_token, new TextEncoder().encode(secret), {
      algorithms: ['HS256'],
      issuer,
      audience: clientId,
    })
  }
  const { userinfo_endpoint: userinfoEndpoint } = configuration.serverMetadata()
  const complete = typeof claims.name === 'string' && typeof claims.email === 'string'
  const userinfo: Record<string, unknown> =
    !complete && userinfoEndpoint
      ? await client.fetchUserInfo(configuration, tokens.access_token, usableSubject(claims))
      : {}
  return toIdentity(connection, claims, userinfo)
}

/** RFC 9207 section 2.4: an upstream's no counts as its no only once `iss` has been checked, as for a yes. */
function asRefusal(error: unknown): Exclude<UpstreamAnswer, { outcome: 'verified' }> {
  if (!(error instanceof client.AuthorizationResponseError)) return asProblem(error)
  // LINE writes its codes in upper case, RFC 6749 section 4.1.2.1 in lower case.
  return /^access_denied$/i.test(error.error)
    ? { outcome: 'cancelled' }
    : { outcome: 'refused', error: error.error.slice(0, 100) }
}

/** What went wrong between us and the upstream, told apart: it is not there, or what it said does not hold. */
function asProblem(error: unknown): never {
  if (error instanceof Problem) throw error
  const unreachable =
    error instanceof TypeError ||
    (error instanceof Error && /Timeout|Abort/.test(error.name + String(error.cause)))
  throw new Problem(unreachable ? 'upstream_unreachable' : 'unexpected_upstream_answer', { cause: error })
}
