import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import { digest } from '../security/digest.ts'
import type { VerifiedIdentity } from './connector.ts'
import { toIdentity } from './identity-claims.ts'
import type { Connection } from './settings.ts'
import { publishedAlgorithms, type UpstreamKeys } from './upstream-keys.ts'

/** An ID token that did not come to us from the upstream but from an application, and is anybody's until it is verified. */
export interface PresentedIdToken {
  idToken: string
  /** What the application asked the upstream to put in. */
  nonce?: string | undefined
}

export type IdTokenAnswer =
  | {
      outcome: 'verified'
      identity: VerifiedIdentity
      /** When the upstream gave its word. */
      issuedAt: Date
      /** The same for every copy of this token, however its signature is written. */
      mark: string
    }
  | { outcome: 'refused'; fault: IdTokenFault }

export type IdTokenFault = 'malformed' | 'signature' | 'iss' | 'aud' | 'exp' | 'iat' | 'nonce' | 'sub'

/** Seconds. There is no browser that it could be bound to, so it has to be of just now. */
export const idTokenLifeSeconds = 600
const clockToleranceSeconds = 30

/** OpenID Connect Core 3.1.3.7, for tokens that applications present. */
export function idTokenVerifier(keysAt: UpstreamKeys, now: () => Date) {
  return async (
    connection: Connection,
    jwksUri: string | undefined,
    { idToken, nonce }: PresentedIdToken,
  ): Promise<IdTokenAnswer> => {
    if (!jwksUri) throw new Error('the upstream publishes no keys')
    const audience = audiencesOf(connection)
    const rules = {
      algorithms: publishedAlgorithms,
      issuer: connection.issuer,
      audience,
      currentDate: now(),
      clockTolerance: clockToleranceSeconds,
      maxTokenAge: idTokenLifeSeconds,
      requiredClaims: ['sub', 'iss', 'aud', 'exp', 'iat'],
    }
    const verified = await jwtVerify(idToken, keysAt(jwksUri), rules).catch(toFault)
    if (typeof verified === 'string') return { outcome: 'refused', fault: verified }
    const { payload, protectedHeader } = verified
    const fault = isForAnotherUse(payload, protectedHeader.typ)
      ? 'malformed'
      : claimFault(payload, audience, nonce)
    if (fault) return { outcome: 'refused', fault }
    const issuedAt = new Date(Math.min((payload.iat ?? 0) * 1000, now().getTime()))
    // What is signed: of a signature there are several ways to write it.
    const mark = digest(idToken.slice(0, idToken.lastIndexOf('.')))
    return { outcome: 'verified', identity: toIdentity(connection, payload), issuedAt, mark }
  }
}

/** OpenID Connect Core 3.1.3.7 (3): ourselves, as the upstream knows us, and the applications that share the connection. */
export function audiencesOf({ clientId, settings }: Connection): string[] {
  return [clientId, ...(settings.audiences ?? [])]
}

/** Who says to have issued a token for whom. Nothing of it is verified: good for choosing what to verify it with. */
export function claimedOrigin(idToken: string): { issuer: string; audiences: string[] } | undefined {
  try {
    const { iss = '', aud = [] } = decodeJwt(idToken)
    return { issuer: iss, audiences: Array.isArray(aud) ? aud : [aud] }
  } catch {
    return undefined
  }
}

/** RFC 8725 section 3.11: another kind of token of the same upstream, e.g. a logout token, is no ID token. */
function isForAnotherUse(payload: JWTPayload, type: string | undefined): boolean {
  return 'events' in payload || (type !== undefined && type.toUpperCase() !== 'JWT')
}

function claimFault(
  { aud = [], azp, nonce, sub }: JWTPayload,
  known: readonly string[],
  expected: string | undefined,
): IdTokenFault | undefined {
  // OpenID Connect Core 3.1.3.7 (3) to (5): no audience that is not trusted, and no stranger whom it was issued to.
  const parties = [...(Array.isArray(aud) ? aud : [aud]), ...(azp === undefined ? [] : [azp])]
  if (parties.some((party) => !known.includes(String(party)))) return 'aud'
  if (expected !== undefined && nonce !== expected) return 'nonce'
  // Core 2: a string. A number would not stay one account.
  return typeof sub === 'string' && /^[\x21-\x7e]{1,255}$/.test(sub) ? undefined : 'sub'
}

const claims = ['iss', 'aud', 'iat', 'exp', 'sub'] as const

/** What is wrong with a token. Anything else that went wrong is not the token's fault. */
function toFault(error: unknown): IdTokenFault {
  if (error instanceof errors.JWTExpired) return error.claim === 'iat' ? 'iat' : 'exp'
  if (error instanceof errors.JWTClaimValidationFailed)
    return claims.find((claim) => claim === error.claim) ?? 'malformed'
  const isUnsigned =
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSEAlgNotAllowed
  if (isUnsigned) return 'signature'
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return 'malformed'
  if (error instanceof errors.JOSENotSupported) return 'malformed'
  throw error
}
