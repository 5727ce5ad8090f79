import { type Configuration, errors, type KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { HttpContext, HttpMiddleware } from '../http/context.ts'
import { type Budget, sourceOf, spend } from '../http/rate-limit.ts'
import { digest } from '../security/digest.ts'
import type { Random } from '../security/random.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { hasSecret, isClientSecret } from './clients/client.ts'
import { administrativeFields, dynamicMetadata, registrationRules } from './clients/dynamic-metadata.ts'
import type { Metadata, ProfileFault } from './clients/profile.ts'
import { routes } from './routes.ts'

type Features = NonNullable<Configuration['features']>

/** Generous, for test suites register a client for each test; a stolen token must not fill the database at once. */
const registrations: Budget = { name: 'registration', limit: 3_000, windowSeconds: 3600 }

/** The name under which the engine keeps our rules on a token. */
export const policyName = 'rules'

/** Secrets made in a request, until its answer shows them: the engine itself only ever sees digests. */
const madeSecrets = new WeakMap<object, string>()

/** Dynamic registration (RFC 7591, OpenID Connect Dynamic Client Registration 1.0) and its management (RFC 7592). */
export function registrationFeatures(
  random: Random,
): Required<Pick<Features, 'registration' | 'registrationManagement'>> {
  return {
    registration: {
      enabled: true,
      initialAccessToken: true,
      policies: { [policyName]: applyRules },
      idFactory: () => random.uuid(),
      secretFactory(ctx) {
        const secret = random.token()
        madeSecrets.set(ctx, secret)
        return digest(secret)
      },
    },
    // RFC 7592 section 5 leaves it open. An answer that gets lost must not shut a client out of its registration.
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: false },
  }
}

/** What the engine does not hand to its adapter, of the request that it writes a client in. */
export function currentRegistration(): { isNew: boolean; initialToken?: string; secret?: string } {
  const ctx = Provider.ctx
  const initialToken = ctx?.oidc.entities.InitialAccessToken?.jti
  const secret = ctx && madeSecrets.get(ctx)
  return {
    isNew: ctx?.oidc.route === 'registration',
    ...(initialToken && { initialToken }),
    ...(secret && { secret }),
  }
}

/**
 * OpenID Connect Core 8.1: `sector_identifier_uri` is fetched when a client registers, not whenever it is read: its host
 * being away for a moment must not shut the client out.
 */
export function isRegistering(): boolean {
  const oidc = Provider.ctx?.oidc
  return oidc?.route === 'registration' || (oidc?.route === 'client_update' && !!oidc.entities.Client)
}

/** What an initial access token allows is kept with the client's own token, for when it registers itself anew. */
function applyRules(ctx: KoaContextWithOIDC, properties: Metadata): void {
  const { InitialAccessToken: initial, RegistrationAccessToken: own, Client: client } = ctx.oidc.entities
  const carried = (initial ?? own) as { rules?: unknown } | undefined
  const rules = registrationRules.parse(carried?.rules)
  if (initial && own) Object.assign(own, { rules })
  const standing = client && { scope: client.scope, requiresPkce: client.require_pkce !== false }
  const { metadata, faults } = dynamicMetadata(rules, { ...properties }, standing)
  refuse(faults)
  for (const field of Object.keys(properties)) delete properties[field]
  Object.assign(properties, metadata)
  // The engine made one before the profile was known.
  if (!hasSecret(metadata)) {
    delete properties.client_secret
    delete properties.client_secret_expires_at
    madeSecrets.delete(ctx)
  }
}

/** RFC 7591 section 3.2.2. */
function refuse(faults: readonly ProfileFault[]): void {
  if (faults.length === 0) return
  const text = faults.map(({ field, reason }) => `${field}: ${reason}`).join('; ')
  // RFC 6749 section 5.2: some characters must not be in a description, and what was sent is repeated in it.
  const description = text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?').slice(0, 1_000)
  // With `redirect_uris` in front, it is an invalid_redirect_uri.
  throw new errors.InvalidClientMetadata(description)
}

/** Hangs on an engine what its options have no place for. */
export function manageRegistrations(provider: Provider, store: Ephemeral, now: () => Date): void {
  for (const model of [provider.InitialAccessToken, provider.RegistrationAccessToken])
    Object.defineProperty(model, 'IN_PAYLOAD', { value: [...model.IN_PAYLOAD, 'rules'] })
  compareOwnSecret(provider, now)
  provider.use(registrationAnswers(store) as unknown as Parameters<Provider['use']>[0])
}

/**
 * RFC 7592 section 2.2: a client may send its secret along when it registers itself anew, but must not choose one. The
 * engine compares texts where there are digests, and shows a client all of its own properties: this one is none.
 */
function compareOwnSecret(provider: Provider, now: () => Date): void {
  const digests = new WeakMap<object, string | undefined>()
  Object.defineProperty(provider.Client.prototype, 'clientSecret', {
    get(): string | undefined {
      const stored = digests.get(this)
      const { route, body } = Provider.ctx?.oidc ?? {}
      const presented = route === 'client_update' ? body?.client_secret : undefined
      if (typeof presented !== 'string' || !stored) return stored
      // Anything else is another text than what was presented: the digests themselves are no secret either.
      return isClientSecret(digest(presented), stored, now()) ? presented : `not ${presented}`
    },
    set(value: string | undefined) {
      digests.set(this, value)
    },
  })
}

function registrationAnswers(store: Ephemeral): HttpMiddleware {
  return async (ctx, next) => {
    // The engine takes its paths in any letter case.
    const path = ctx.path.toLowerCase()
    if (path !== routes.registration && !path.startsWith(`${routes.registration}/`)) return next()
    await spend(store, registrations, sourceOf(ctx.ip))
    await next()
    if (ctx.status === 200 || ctx.status === 201) ctx.body = shownPart(ctx)
    return undefined
  }
}

/**
 * A client is told what it registered, and a secret once, when it is made. Deviation: reading a registration does not
 * show the secret again (RFC 7592 section 3 would have it), because only a digest of it is kept.
 */
function shownPart(ctx: HttpContext): Metadata {
  const hidden: readonly string[] = administrativeFields
  const shown = Object.entries(ctx.body as Metadata).filter(([field]) => !hidden.includes(field))
  const secret = madeSecrets.get(ctx)
  return {
    ...Object.fromEntries(shown),
    ...(secret && { client_secret: secret, client_secret_expires_at: 0 }),
  }
}
