import { type Client, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider'
import type { Locale } from '../http/i18n.ts'
import { localizedName } from '../http/i18n.ts'
import type { Tx } from '../store/db.ts'
import type { Recent } from './recent.ts'

type ResourceIndicators = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>

/** A JWT cannot be taken back, so none lives longer. Seconds. */
export const longestJwtTtl = 600

/**
 * Access tokens for APIs (RFC 8707): as JWTs (RFC 9068) or opaque, as the resource is registered. A client is given the
 * scopes it is registered for there; a resource it is not registered for does not exist for it.
 */
export function resourceIndicators({ resources }: Recent): ResourceIndicators {
  return {
    enabled: true,
    // A machine that is registered for one API need not name it.
    defaultResource: (ctx, client, oneOf) => oneOf?.[0] ?? onlyResource(ctx, client),
    // OpenID Connect: a token for userinfo stays one, also where an API was asked for besides.
    useGrantedResource: () => false,
    async getResourceServerInfo(_ctx, indicator, client) {
      const allowed = allowedResources(client)[indicator]
      const row = allowed && (await resources.get(indicator))
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

/** The resource's name as members read it. */
export async function resourceName(tx: Tx, id: string, locale: Locale): Promise<string> {
  const row = await tx.resource.findUnique({ where: { id }, select: { name: true } })
  return row ? localizedName.parse(row.name)[locale] : id
}

function onlyResource({ oidc }: KoaContextWithOIDC, client: Client): string | string[] {
  const [first, ...others] = Object.keys(allowedResources(client))
  return oidc.params?.grant_type === 'client_credentials' && first && others.length === 0 ? first : []
}

/** Indicator -> scopes, none standing for all. Our own pages' client has no such property. */
function allowedResources({ allowed_resources: allowed }: Client): Record<string, string[]> {
  return typeof allowed === 'object' && allowed !== null ? (allowed as Record<string, string[]>) : {}
}
