import { type Client, errors, type KoaContextWithOIDC } from 'oidc-provider'
import { isFapi } from './client-authentication.ts'
import { isStrongAlgorithm } from './clients/profile.ts'

const longestLifeSeconds = 3600

/** What a signed authorization request must say beyond what the engine checks of it (RFC 9101, FAPI 2.0 Message Signing section 5.3.1). */
export function assertRequestObject(
  _ctx: KoaContextWithOIDC,
  { exp, nbf, aud }: Record<string, unknown>,
  { alg }: Record<string, unknown>,
  client: Client,
): void {
  if (!isFapi(client)) return
  const fault = fapiFault(alg, aud, exp, nbf)
  if (fault) throw new errors.InvalidRequestObject(fault)
}

function fapiFault(alg: unknown, aud: unknown, exp: unknown, nbf: unknown): string | undefined {
  if (!isStrongAlgorithm(alg)) return 'this algorithm is not for this client'
  if (aud === undefined) return "Request Object is missing the 'aud' claim"
  if (typeof exp !== 'number') return "Request Object is missing the 'exp' claim"
  if (typeof nbf !== 'number') return "Request Object is missing the 'nbf' claim"
  return exp <= nbf || exp - nbf > longestLifeSeconds ? 'Request Object lives too long' : undefined
}
