import { jwtVerify } from 'jose'
import * as client from 'openid-client'
import type { Outbound } from '../http/outbound.ts'
import { Problem } from '../problem.ts'
import type { Attempt, Claims, ReceivedClaims, UpstreamAnswer, VerifiedIdentity } from './connector.ts'
import { toIdentity, UnusableAccount, usableSubject } from './identity-claims.ts'
import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'
import { fetchUserinfo, mapClaims } from './userinfo.ts'

export type TokenAnswer = Awaited<ReturnType<typeof client.authorizationCodeGrant>>

/**
 * Checks state and iss (RFC 9207 section 2.4) and takes the code to the token endpoint; for OpenID Connect also the
 * nonce and the ID token (OpenID Connect Core 3.1.3.7).
 */
export function exchangeCode(
  configuration: client.Configuration,
  { kind }: Connection,
  attempt: Attempt,
  answer: URLSearchParams,
): Promise<TokenAnswer> {
  const url = new URL(attempt.redirectUri)
  url.search = answer.toString()
  const isOidc = kindOf(kind).protocol === 'oidc'
  return client.authorizationCodeGrant(configuration, url, {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    ...(isOidc && { expectedNonce: attempt.nonce, idTokenExpected: true }),
    ...(attempt.forceSignIn && { maxAge: 60 }),
  })
}

export interface Account {
  identity: VerifiedIdentity
  received: ReceivedClaims
}

/** Whose account it is. @throws UnusableAccount with what was received */
export async function readAccount(
  connection: Connection,
  configuration: client.Configuration,
  tokens: TokenAnswer,
  secret: string,
  fetch: Outbound,
): Promise<Account> {
  const received = await (kindOf(connection.kind).protocol === 'oidc'
    ? receiveIdToken(connection, configuration, tokens, secret)
    : receiveUserinfo(connection, tokens, fetch))
  try {
    return { identity: identityOf(connection, received), received }
  } catch (error) {
    throw error instanceof UnusableAccount ? new UnusableAccount(error.fault, received) : error
  }
}

function identityOf(connection: Connection, { idToken, userinfo = {} }: ReceivedClaims): VerifiedIdentity {
  const { claims } = connection.settings
  if (idToken) return toIdentity(connection, idToken, userinfo)
  if (!claims) throw new Error('the connection does not say where the subject is')
  return toIdentity(connection, mapClaims(claims, userinfo))
}

async function receiveIdToken(
  { issuer, clientId, settings }: Connection,
  configuration: client.Configuration,
  tokens: TokenAnswer,
  secret: string,
): Promise<ReceivedClaims> {
  const claims = tokens.claims()
  if (!claims || !tokens.id_token) throw new Error('the upstream sent no ID token')
  if (settings.idTokenSigningAlg === 'HS256') {
    // OpenID Connect Core 3.1.3.7 (8): the key is the client secret. The algorithm is ours to say, never the token's.
    const rules = { algorithms: ['HS256'], issuer, audience: clientId }
    await jwtVerify(tokens.id_token, new TextEncoder().encode(secret), rules)
  }
  const idToken: Claims = { ...claims }
  const { userinfo_endpoint: userinfoEndpoint } = configuration.serverMetadata()
  const isComplete = typeof claims.name === 'string' && typeof claims.email === 'string'
  if (isComplete || !userinfoEndpoint) return { idToken }
  // OpenID Connect Core 5.3.2: of the same subject, or it is refused.
  const subject = subjectOf(idToken)
  return { idToken, userinfo: await client.fetchUserInfo(configuration, tokens.access_token, subject) }
}

function subjectOf(idToken: Claims): string {
  try {
    return usableSubject(idToken)
  } catch (error) {
    throw error instanceof UnusableAccount ? new UnusableAccount(error.fault, { idToken }) : error
  }
}

async function receiveUserinfo(
  { settings }: Connection,
  { access_token: accessToken }: TokenAnswer,
  fetch: Outbound,
): Promise<ReceivedClaims> {
  const { userinfo } = settings.endpoints ?? {}
  if (!userinfo) throw new Error('the connection does not say where accounts are told')
  return { userinfo: await fetchUserinfo(fetch, userinfo, accessToken) }
}

/** RFC 9207 section 2.4: an upstream's no counts as its no only once `iss` has been checked, as for a yes. */
export function asRefusal(error: unknown): Exclude<UpstreamAnswer, { outcome: 'verified' }> {
  if (!(error instanceof client.AuthorizationResponseError)) return asProblem(error)
  // LINE writes its codes in upper case, RFC 6749 section 4.1.2.1 in lower case.
  if (/^access_denied$/i.test(error.error)) return { outcome: 'cancelled' }
  const description = error.error_description?.slice(0, 300)
  return { outcome: 'refused', error: error.error.slice(0, 100), ...(description && { description }) }
}

/** What went wrong between us and the upstream, told apart: it is not there, or what it said does not hold. */
export function asProblem(error: unknown): never {
  if (error instanceof Problem) throw error
  const unreachable =
    error instanceof TypeError ||
    (error instanceof Error && /Timeout|Abort/.test(error.name + String(error.cause)))
  throw new Problem(unreachable ? 'upstream_unreachable' : 'unexpected_upstream_answer', { cause: error })
}
