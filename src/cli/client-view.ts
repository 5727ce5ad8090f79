import { z } from 'zod'
import { localizedName } from '../http/i18n.ts'
import { toConnectionRights } from '../oidc/clients/client-connections.ts'
import type { Db, Tx } from '../store/db.ts'
import type { Prisma } from '../store/generated/client.ts'
import { moment } from './output.ts'

/** The stored metadata as far as it is shown; what else it holds is the engine's. */
const metadata = z.object({
  redirect_uris: z.array(z.string()).default([]),
  post_logout_redirect_uris: z.array(z.string()).default([]),
  scope: z.string().default(''),
  token_endpoint_auth_method: z.string(),
  grant_types: z.array(z.string()).default([]),
  id_token_signed_response_alg: z.string().optional(),
  require_pkce: z.boolean().optional(),
  logo_uri: z.string().optional(),
  initiate_login_uri: z.string().optional(),
  client_uri: z.string().optional(),
  policy_uri: z.string().optional(),
  tos_uri: z.string().optional(),
})

const include = { secrets: { orderBy: { createdAt: 'asc' } }, connections: true, resources: true } as const
type ClientRow = Prisma.ClientGetPayload<{ include: typeof include }>

export type ClientView = ReturnType<typeof toView>

export async function findClient(db: Db | Tx, id: string, now: Date): Promise<ClientView | undefined> {
  const row = await db.client.findUnique({ where: { id }, include })
  return row ? toView(row, now) : undefined
}

/** In the order they were registered. */
export async function listClients(db: Db, now: Date): Promise<ClientView[]> {
  const rows = await db.client.findMany({ include, orderBy: { createdAt: 'asc' } })
  return rows.map((row) => toView(row, now))
}

/** Everything about a client but its secrets, which are not stored either: only how many work, and until when. */
function toView(row: ClientRow, now: Date) {
  const stored = metadata.parse(row.metadata)
  return {
    id: row.id,
    profile: row.profile,
    name: localizedName.parse(row.name),
    redirectUris: stored.redirect_uris,
    postLogoutRedirectUris: stored.post_logout_redirect_uris,
    scopes: stored.scope.split(' ').filter(Boolean),
    authMethod: stored.token_endpoint_auth_method,
    grantTypes: stored.grant_types,
    idTokenSigningAlg: stored.id_token_signed_response_alg ?? 'ES256',
    requirePkce: stored.require_pkce ?? true,
    firstParty: row.firstParty,
    managesLinks: row.managesLinks,
    ...toConnectionRights(row.connections),
    resources: row.resources.map(({ resourceId, scopes }) => ({ id: resourceId, scopes })),
    clientUri: stored.client_uri ?? null,
    logoUri: stored.logo_uri ?? null,
    initiateLoginUri: stored.initiate_login_uri ?? null,
    policyUri: stored.policy_uri ?? null,
    tosUri: stored.tos_uri ?? null,
    secrets: row.secrets
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .map(({ createdAt, expiresAt, lastUsedAt }) => ({ createdAt, expiresAt, lastUsedAt })),
    createdAt: row.createdAt,
    disabledAt: row.disabledAt,
  }
}

/** The lines that describe a client to people. */
export function clientParts(
  client: ClientView,
): (readonly [string, string | readonly string[] | undefined])[] {
  return [
    ['id', client.id],
    ['profile', client.profile],
    ['name (ja)', client.name.ja],
    ['name (en)', client.name.en],
    ['redirect URIs', client.redirectUris],
    ['post-logout URIs', client.postLogoutRedirectUris],
    ['scopes', client.scopes.join(' ')],
    ['authentication', client.authMethod],
    ['ID tokens', client.idTokenSigningAlg],
    ['PKCE', client.requirePkce ? 'required' : 'optional'],
    ['connections', client.connections.join(' ') || 'none'],
    ['vouches for', client.vouchConnections.join(' ') || undefined],
    ['tokens of', client.tokenConnections.join(' ') || undefined],
    ['resources', client.resources.map(({ id, scopes }) => `${id}: ${scopes.join(' ') || 'all its scopes'}`)],
    ['first party', client.firstParty ? 'yes: consent is not asked for' : 'no'],
    ['manages links', client.managesLinks ? 'yes: makes and ends links at the API' : 'no'],
    ['client URI', client.clientUri ?? undefined],
    ['logo URI', client.logoUri ?? undefined],
    ['login URI', client.initiateLoginUri ?? undefined],
    ['policy URI', client.policyUri ?? undefined],
    ['terms URI', client.tosUri ?? undefined],
    ['secrets', client.secrets.map(secretLine)],
    ['registered', moment(client.createdAt)],
    ['disabled', client.disabledAt ? moment(client.disabledAt) : 'no'],
  ]
}

function secretLine({ createdAt, expiresAt, lastUsedAt }: ClientView['secrets'][number]): string {
  const used = lastUsedAt ? `last used ${moment(lastUsedAt)}` : 'not used yet'
  return `made ${moment(createdAt)}, works ${expiresAt ? `until ${moment(expiresAt)}` : 'until it is rotated'}, ${used}`
}
