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
    const [secret, at] = [digest(presented), now()]
    if (typeof this.clientSecret !== 'string' || !isClientSecret(secret, this.clientSecret, at)) return false
    if (at.getTime() - (told.get(secret) ?? 0) < useIsToldEveryMs) return true
    told.set(secret, at.getTime())
    // Nothing waits for it: a missed note is made up for by the next use.
    db.clientSecret
      .updateMany({ where: { clientId: this.clientId, digest: secret }, data: { lastUsedAt: at } })
      .catch((error: unknown) => log.warn({ err: error }, 'the use of a client secret was not noted'))
    return true
  }
}

type AssertionRules = NonNullable<Configuration['assertJwtClientAuthClaimsAndHeader']>

/** Until an assertion has expired, its identifier is kept as used. */
const longestAssertionSeconds = 3600
const longestFutureSeconds = 60

/** Requests whose assertion has been checked, but for whether it was used before. */
const checked = new WeakSet<KoaContextWithOIDC>()

/** Whether what the engine wants marked as used is the assertion of this request; asked once, right after its rules. */
export const isAssertionOf = (ctx: KoaContextWithOIDC): boolean => checked.delete(ctx)

/** What an assertion of a client must say beyond what the engine checks of it (RFC 7523 section 3). */
export function assertionRules(now: () => Date): AssertionRules {
  return (ctx, { aud, exp, iat }, { alg, typ }, client) => {
    const refuse = (reason: string) => new errors.InvalidClientAuth(reason)
    const seconds = now().getTime() / 1000
    // RFC 7523 section 3 (3) lets an assertion name several audiences: each of them could then use it here.
    if (Array.isArray(aud) && aud.length > 1) throw refuse('audience (aud) must be this server alone')
    // RFC 7523 section 3 (4).
    if (Number(exp) - seconds > longestAssertionSeconds)
      throw refuse('the assertion expires too far in the future')
    // RFC 9101 section 10.8: a signed authorization request travels through browsers, a proof of the client must not.
    if (typ === 'oauth-authz-req+jwt') throw refuse('an authorization request is no assertion')
    if (isFapi(client)) {
      // FAPI 2.0 section 5.3.2.1 (8): the issuer, as a string.
      if (aud !== ctx.oidc.issuer) throw refuse('audience (aud) must be the issuer identifier')
      // FAPI 2.0 section 5.4.1.
      if (!isStrongAlgorithm(alg)) throw refuse('this algorithm is not for this client')
      // FAPI 2.0 section 5.3.2.1 (13). The engine looks at iat only where there is no exp.
      if (Number(iat ?? 0) - seconds > longestFutureSeconds) throw refuse('the assertion is from the future')
    }
    checked.add(ctx)
  }
}

/** What the FAPI profile of a client makes the engine check; undefined for the others. */
export function fapiProfile(_ctx: KoaContextWithOIDC, client: Client | undefined): '2.0' | undefined {
  return isFapi(client) ? '2.0' : undefined
}

export const isFapi = (client: Client | undefined): boolean => client?.profile === 'fapi2'
