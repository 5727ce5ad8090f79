import { type Client, errors, type KoaContextWithOIDC } from 'oidc-provider'
import { isFapi } from './client-authentication.ts'
import { isStrongAlgorithm } from './clients/profile.ts'

type Claims = Record<string, unknown>

const longestLifeSeconds = 3600
const longestFutureSeconds = 60

/**
 * What a signed authorization request must say beyond what the engine checks of it. It may come again until it expires:
 * browsers load pages again, and RFC 9101 asks no single use; a request that is to be used once is pushed.
 * @see https://www.rfc-editor.org/rfc/rfc9101
 */
export function requestObjectRules(now: () => Date) {
  return ({ oidc }: KoaContextWithOIDC, claims: Claims, { alg }: Claims, client: Client): void => {
    // What was pushed had to pass when it was; the engine keeps it in a form of its own.
    if (oidc.entities.PushedAuthorizationRequest) return
    const refuse = (reason: string) => new errors.InvalidRequestObject(reason)
    const seconds = now().getTime() / 1000
    // RFC 9101 section 10.8: with the client as its subject it would pass for an assertion of that client.
    if (claims.sub === client.clientId) throw refuse("the 'sub' claim must not be the client")
    // RFC 9126 section 2.2: what is pushed gets an address for as long as it is good, which is not in the past.
    const isPushed = oidc.route === 'pushed_authorization_request'
    if (isPushed && claims.exp !== undefined && Number(claims.exp) <= seconds)
      throw refuse('Request Object has expired')
    const fault = isFapi(client) ? fapiFault(alg, claims, seconds) : undefined
    if (fault) throw refuse(fault)
  }
}

/**
 * FAPI 2.0 Message Signing section 5.3.1, and of the Security Profile sections 5.3.2.1 (13) and 5.4.1. The engine wants
 * us as the audience of every request. One that began over an hour ago has expired or lives too long.
 */
function fapiFault(alg: unknown, { exp, nbf, iat }: Claims, now: number): string | undefined {
  if (!isStrongAlgorithm(alg)) return 'this algorithm is not for this client'
  if (typeof exp !== 'number') return "Request Object is missing the 'exp' claim"
  if (typeof nbf !== 'number') return "Request Object is missing the 'nbf' claim"
  if (Number(iat ?? 0) - now > longestFutureSeconds) return 'Request Object is from the future'
  return exp <= nbf || exp - nbf > longestLifeSeconds ? 'Request Object lives too long' : undefined
}
