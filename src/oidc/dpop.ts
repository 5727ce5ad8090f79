import { hkdfSync } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, type JWK } from 'jose'
import { type Client, type Configuration, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import { isAssertionOf, isFapi } from './client-authentication.ts'

type DPoP = NonNullable<NonNullable<Configuration['features']>['dPoP']>

/** How far the clock of a client may be from ours before it has to prove the moment with a nonce. */
const longestDriftSeconds = 60

/**
 * Proofs of possession (RFC 9449). A client whose registration says `require_dpop_nonce` proves with a nonce of ours
 * that a proof is fresh; so does any client whose clock is off.
 * @see https://www.rfc-editor.org/rfc/rfc9449
 */
export function dPoP(issuer: string, cookieKey: string, now: () => Date): DPoP {
  return {
    enabled: true,
    // Section 8: the same on every process; a client that has an older one is told the new one.
    nonceSecret: Buffer.from(hkdfSync('sha256', cookieKey, issuer, 'hitotsu dpop nonce v1', 32)),
    // Asked before the signature is checked, so this may only make the rules stricter.
    requireNonce(ctx) {
      const { iat } = readProof(ctx)
      refuseFuture(ctx.oidc.client, iat, now())
      // Section 11.1: the engine's window is five minutes either way; a replayed proof has to fit into less.
      return needsNonce(ctx.oidc.client) || isOff(iat, now())
    },
  }
}

/** Says once, of any number of times this identifier is presented before `expiresAt`, that it is the first time. */
type MarkAsUsed = (owner: string, jti: string, expiresAt: number) => Promise<boolean>

/**
 * What the engine asks of every assertion and proof. Section 11.1: a proof is marked under its own key: under its
 * client, whoever else uses that client could use up an identifier before its owner does.
 */
export function replayDetection(provider: Provider, markAsUsed: MarkAsUsed, now: () => Date): MarkAsUsed {
  return async (clientId, jti, expiresAt) => {
    const { ctx } = Provider
    if (!ctx?.get('DPoP') || isAssertionOf(ctx)) return markAsUsed(clientId, jti, expiresAt)
    const { jwk, iat, nonce } = readProof(ctx)
    // At a resource the engine learns who the client is only now.
    if (!ctx.oidc.client) {
      const client = await provider.Client.find(clientId)
      refuseFuture(client, iat, now())
      // Section 9. The engine has put the nonce into the answer already.
      if (needsNonce(client) && !nonce) throw new errors.UseDpopNonce('nonce is required in the DPoP proof')
    }
    return markAsUsed(await calculateJwkThumbprint(jwk ?? {}), jti, expiresAt)
  }
}

const needsNonce = (client: Client | undefined) => client?.require_dpop_nonce === true

const isOff = (iat: unknown, now: Date) =>
  typeof iat === 'number' && Math.abs(iat - now.getTime() / 1000) > longestDriftSeconds

/** FAPI 2.0 section 5.3.2.1 (13): whatever else says when a JWT was made. */
function refuseFuture(client: Client | undefined, iat: unknown, now: Date): void {
  if (isFapi(client) && typeof iat === 'number' && iat - now.getTime() / 1000 > longestDriftSeconds)
    throw new errors.InvalidDpopProof('DPoP proof iat is in the future')
}

interface Proof {
  jwk?: JWK | undefined
  iat?: number | undefined
  nonce?: unknown
}

/** What a proof says, before anybody has checked it: nothing of one that cannot be read. */
function readProof(ctx: KoaContextWithOIDC): Proof {
  try {
    const proof = ctx.get('DPoP')
    const { iat, nonce } = decodeJwt(proof)
    return { jwk: decodeProtectedHeader(proof).jwk, iat, nonce }
  } catch {
    return {}
  }
}
