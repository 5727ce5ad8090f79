import {
  type Client,
  type Configuration,
  errors,
  type KoaContextWithOIDC,
  type Provider,
} from 'oidc-provider'
import { digest } from '../security/digest.ts'
import type { Db } from '../store/db.ts'
import type { Logger } from '../telemetry/logger.ts'
import { isClientSecret } from './clients/client.ts'
import { isStrongAlgorithm } from './clients/profile.ts'

const useIsToldEveryMs = 60_000

export interface SecretDeps {
  db: Db
  now: () => Date
  log: Logger
}

/**
 * Secrets are stored as digests (RFC 9700 section 2.5 leaves the form to us); the engine would compare the text itself.
 * When a secret was last used is kept to the minute, so that an administrator sees which of two may go.
 */
export function compareDigests(provider: Provider, { db, now, log }: SecretDeps): void {
  const told = new Map<string, number>()
  provider.Client.prototype.compareClientSecret = function compare(presented: string) {
    if (typeof this.clientSecret !== 'string' || !isClientSecret(presented, this.clientSecret)) return false
    const [secret, at] = [digest(presented), now()]
    if (at.getTime() - (told.get(secret) ?? 0) < useIsToldEveryMs) return true
    told.set(secret, at.getTime())
    // Nothing waits for it: a missed note is made up for by the next use.
    db.clientSecret
      .updateMany({ where: { clientId: this.clientId, digest: secret }, data: { lastUsedAt: at } })
      .catch((error: unknown) => log.warn({ err: error }, 'the use of a client secret was not noted'))
    return true
  }
}

/** RFC 7523 section 3 (3) lets an assertion name several audiences: each of them could then use it here. */
export const assertClientAssertion: Configuration['assertJwtClientAuthClaimsAndHeader'] = (
  ctx,
  { aud },
  { alg },
  client,
) => {
  if (Array.isArray(aud) && aud.length > 1)
    throw new errors.InvalidClientAuth('audience (aud) must be this server alone')
  if (!isFapi(client)) return
  // FAPI 2.0 section 5.3.2.1 (8): the issuer, as a string.
  if (aud !== ctx.oidc.issuer)
    throw new errors.InvalidClientAuth('audience (aud) must be the issuer identifier')
  // FAPI 2.0 section 5.4.1.
  if (!isStrongAlgorithm(alg)) throw new errors.InvalidClientAuth('this algorithm is not for this client')
}

/** What the FAPI profile of a client makes the engine check; undefined for the others. */
export function fapiProfile(_ctx: KoaContextWithOIDC, client: Client | undefined): '2.0' | undefined {
  return isFapi(client) ? '2.0' : undefined
}

export const isFapi = (client: Client | undefined): boolean => client?.profile === 'fapi2'
