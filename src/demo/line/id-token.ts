import {
  compactVerify,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  importJWK,
  type JWTPayload,
  SignJWT,
} from 'jose'
import { lifetimeSeconds } from './lifetimes.ts'
import { oauthRefusal } from './refusal.ts'
import { findLoginChannel, nowSeconds, pictureUrlOf, type Simulator, userIdOf } from './simulator.ts'
import type { LoginChannel, Person } from './state.ts'

export type IdTokenClaims = {
  scopes: string[]
  emailGranted: boolean
  amr: string[]
  nonce?: string
  authTimeMs?: number
}

/**
 * HS256 under the channel secret for web login, ES256 under a published key for LIFF and native.
 * @see https://developers.line.biz/en/docs/line-login/verify-id-token/
 */
export async function signIdToken(
  sim: Simulator,
  channel: LoginChannel,
  person: Person,
  claims: IdTokenClaims,
  algorithm: 'HS256' | 'ES256',
): Promise<string> {
  const token = new SignJWT(payloadOf(sim, channel, person, claims))
    .setIssuer(sim.issuer)
    .setSubject(userIdOf(channel.providerId, person.id))
    .setAudience(channel.id)
    .setIssuedAt(nowSeconds(sim))
    .setExpirationTime(nowSeconds(sim) + lifetimeSeconds.idToken)
  if (algorithm === 'HS256')
    return token.setProtectedHeader({ typ: 'JWT', alg: 'HS256' }).sign(secretOf(channel))

  const key = sim.state.signingKeys.at(-1)
  if (!key) throw new Error('The simulator has no signing key')
  return token
    .setProtectedHeader({ typ: 'JWT', alg: 'ES256', kid: key.kid })
    .sign(await importJWK(key.privateJwk, 'ES256'))
}

function payloadOf(sim: Simulator, channel: LoginChannel, person: Person, claims: IdTokenClaims): JWTPayload {
  const picture = pictureUrlOf(sim, channel.providerId, person)
  return {
    ...(claims.authTimeMs !== undefined && { auth_time: Math.floor(claims.authTimeMs / 1000) }),
    ...(claims.nonce !== undefined && { nonce: claims.nonce }),
    ...(!sim.state.settings.omitAmr && { amr: claims.amr }),
    ...(claims.scopes.includes('profile') && { name: person.name, ...(picture && { picture }) }),
    ...(claims.emailGranted && person.email !== undefined && { email: person.email }),
  }
}

function secretOf(channel: LoginChannel): Uint8Array {
  return new TextEncoder().encode(channel.secret)
}

export type ExpectedIdToken = { idToken: string; clientId: string; nonce?: string; userId?: string }

/** `POST /oauth2/v2.1/verify`: the payload, or one of the six documented refusals in LINE's order. */
export async function verifyIdToken(sim: Simulator, expected: ExpectedIdToken): Promise<JWTPayload> {
  const claims = await readSignedClaims(sim, expected.idToken)
  const refuse = (description: string) => oauthRefusal('invalid_request', description)

  if (claims.iss !== sim.issuer) throw refuse('Invalid IdToken Issuer.')
  if ((claims.exp ?? 0) <= nowSeconds(sim)) throw refuse('IdToken expired.')
  if (claims.aud !== expected.clientId) throw refuse('Invalid IdToken Audience.')
  if (expected.nonce !== undefined && claims.nonce !== expected.nonce) throw refuse('Invalid IdToken Nonce.')
  if (expected.userId !== undefined && claims.sub !== expected.userId) {
    throw refuse('Invalid IdToken Subject Identifier.')
  }
  return claims
}

/** The key follows from the audience and the algorithm, never from the token alone. */
async function readSignedClaims(sim: Simulator, idToken: string): Promise<JWTPayload> {
  try {
    const claims = decodeJwt(idToken)
    const { alg } = decodeProtectedHeader(idToken)
    const channel = findLoginChannel(sim, typeof claims.aud === 'string' ? claims.aud : undefined)
    if (alg === 'HS256' && channel) {
      await compactVerify(idToken, secretOf(channel), { algorithms: ['HS256'] })
      return claims
    }
    const keys = createLocalJWKSet({ keys: sim.state.signingKeys.map(({ publicJwk }) => publicJwk) })
    await compactVerify(idToken, keys, { algorithms: ['ES256'] })
    return claims
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    throw Object.assign(oauthRefusal('invalid_request', 'Invalid IdToken.'), { cause: error })
  }
}
