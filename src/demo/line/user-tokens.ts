import { SignJWT } from 'jose'
import { lifetimeSeconds } from './lifetimes.ts'
import { apiRefusal, authenticationRefusal, oauthRefusal } from './refusal.ts'
import { nowMs, nowSeconds, randomHex, type Simulator } from './simulator.ts'
import type { RefreshToken, UserAccessToken } from './state.ts'

type TokenOwner = { channelId: string; personId: string; scopes: string[] }

/** A compact JWS, as LINE's own access tokens are; only the record behind it says what it is worth. */
export async function issueAccessToken(
  sim: Simulator,
  { channelId, personId, scopes }: TokenOwner,
  kind: UserAccessToken['kind'],
): Promise<UserAccessToken> {
  const life = kind === 'liff' ? lifetimeSeconds.liffAccessToken : lifetimeSeconds.accessToken
  const token: UserAccessToken = {
    token: await opaqueJws(sim),
    kind,
    channelId,
    personId,
    scopes,
    issuedAtMs: nowMs(sim),
    expiresAtMs: nowMs(sim) + life * 1000,
    revoked: false,
  }
  sim.state.accessTokens[token.token] = token
  return token
}

/** Shaped like a signed token, with nothing inside that a client could read. */
export function opaqueJws(sim: Simulator): Promise<string> {
  return new SignJWT({ jti: randomHex(sim, 32) })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(randomHex(sim, 64)))
}

/** Lives 90 days from the first access token; refreshing does not extend it. */
export function issueRefreshToken(sim: Simulator, owner: TokenOwner): RefreshToken {
  const token: RefreshToken = {
    channelId: owner.channelId,
    personId: owner.personId,
    scopes: owner.scopes,
    token: randomHex(sim, 20),
    issuedAtMs: nowMs(sim),
    expiresAtMs: nowMs(sim) + lifetimeSeconds.refreshToken * 1000,
    revoked: false,
  }
  sim.state.refreshTokens[token.token] = token
  return token
}

export function remainingSeconds(sim: Simulator, { expiresAtMs }: { expiresAtMs: number }): number {
  return Math.floor(expiresAtMs / 1000) - nowSeconds(sim)
}

type Expiring = { expiresAtMs: number; revoked: boolean }

export function isLive(sim: Simulator, token: Expiring | undefined): boolean {
  return token !== undefined && !token.revoked && token.expiresAtMs > nowMs(sim)
}

/** The three documented refusals of `GET /oauth2/v2.1/verify`. */
export function assertVerifiable<T extends Expiring>(sim: Simulator, token: T | undefined): T {
  if (!token) throw oauthRefusal('invalid_request', 'The access token not JWS')
  if (token.revoked) throw oauthRefusal('invalid_request', 'The access token revoked')
  if (token.expiresAtMs <= nowMs(sim)) throw oauthRefusal('invalid_request', 'The access token expired')
  return token
}

/** The bearer of a call to userinfo, profile or friendship, holding the scope that call needs. */
export function getBearer(sim: Simulator, authorization: string, scope: string): UserAccessToken {
  const token = sim.state.accessTokens[bearerOf(authorization)]
  if (!token || !isLive(sim, token)) {
    throw authenticationRefusal(
      'invalid token. Confirm that the access token in the authorization header is valid.',
    )
  }
  if (!token.scopes.includes(scope)) {
    throw apiRefusal(403, `The access token does not have the scope required for this API: ${scope}`)
  }
  return token
}

export function bearerOf(authorization: string): string {
  return /^Bearer (\S+)$/i.exec(authorization)?.[1] ?? ''
}

/** What "Unlink" in the LINE app and deauthorize have in common: tokens die at once, consent is gone. */
export function endAuthorization(sim: Simulator, channelId: string, personId: string): void {
  const { accessTokens, refreshTokens, consents } = sim.state
  for (const token of [...Object.values(accessTokens), ...Object.values(refreshTokens)]) {
    if (token.channelId === channelId && token.personId === personId) token.revoked = true
  }
  delete consents[`${channelId}:${personId}`]
}
