import { type Client, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider'
import { apiResource, apiScopesOf } from './api.ts'
import type { Recent } from './recent.ts'
import { longestJwtTtl } from './resource-registration.ts'
import { tellUnavailable } from './unavailable.ts'

type ResourceIndicators = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>

/**
 * Access tokens for APIs (RFC 8707): as JWTs (RFC 9068) or opaque, as the resource is registered. A client is given the
 * scopes it is registered for there; a resource it is not registered for does not exist for it.
 */
export function resourceIndicators(issuer: string, { resources }: Recent): ResourceIndicators {
  return {
    enabled: true,
    // A machine that is registered for one API need not name it.
    defaultResource: (ctx, client, oneOf) => oneOf?.[0] ?? onlyResource(issuer, ctx, client),
    // OpenID Connect: a token for userinfo stays one, also where an API was asked for besides.
    useGrantedResource: () => false,
    async getResourceServerInfo(_ctx, indicator, client) {
      if (indicator === apiResource(issuer)) return apiTokens(issuer, client)
      const allowed = allowedResources(client)[indicator]
      const row = allowed && (await resources.get(indicator).catch(tellUnavailable))
      if (!row || row.disabledAt) throw new errors.InvalidTarget()
      const scopes = allowed.length === 0 ? row.scopes : row.scopes.filter((scope) => allowed.includes(scope))
      return {
        scope: scopes.join(' '),
        audience: row.id,
        accessTokenTTL: row.tokenFormat === 'jwt' ? Math.min(row.tokenTtl, longestJwtTtl) : row.tokenTtl,
        accessTokenFormat: row.tokenFormat,
        ...(row.tokenFormat === 'jwt' && { jwt: { sign: { alg: 'ES256' } } }),
      }
    },
  }
}

/** Tokens for our own API are opaque: what was taken back from a client counts at once. */
function apiTokens(issuer: string, client: Client) {
  const scopes = apiScopesOf(client)
  if (scopes.length === 0) throw new errors.InvalidTarget()
  return {
    ...{ scope: scopes.join(' '), audience: apiResource(issuer) },
    ...{ accessTokenTTL: 600, accessTokenFormat: 'opaque' as const },
  }
}

/** RFC 8707 section 2.2: a machine's token is for one API. Where a member is asked, none is named for the client. */
function onlyResource(issuer: string, { oidc }: KoaContextWithOIDC, client: Client): string | undefined {
  if (oidc.params?.grant_type !== 'client_credentials') return undefined
  const [first, ...others] = Object.keys(allowedResources(client))
  if (others.length > 0) throw new errors.InvalidTarget('name the resource')
  return first ?? (apiScopesOf(client).length > 0 ? apiResource(issuer) : undefined)
}

/** Indicator -> scopes, none standing for all. Our own pages' client has no such property. */
function allowedResources({ allowed_resources: allowed }: Client): Record<string, string[]> {
  return typeof allowed === 'object' && allowed !== null ? (allowed as Record<string, string[]>) : {}
}
