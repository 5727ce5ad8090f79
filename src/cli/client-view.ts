import { z } from 'zod'
import { localizedName } from '../http/i18n.ts'
import type { Db, Tx } from '../store/db.ts'
import type { Prisma } from '../store/generated/client.ts'
import { moment } from './output.ts'

/** The stored metadata as far as it is shown; what else it holds is the engine's. */
const metadata = z.object({
  redirect_uris: z.array(z.string()),
  post_logout_redirect_uris: z.array(z.string()).default([]),
  scope: z.string().default(''),
  token_endpoint_auth_method: z.string(),
  client_uri: z.string().optional(),
  policy_uri: z.string().optional(),
  tos_uri: z.string().optional(),
})

const include = { secrets: { orderBy: { createdAt: 'asc' } }, connections: true } as const
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
    name: localizedName.parse(row.name),
    redirectUris: stored.redirect_uris,
    postLogoutRedirectUris: stored.post_logout_redirect_uris,
    scopes: stored.scope.split(' ').filter(Boolean),
    authMethod: stored.token_endpoint_auth_method,
    firstParty: row.firstParty,
    connections: row.connections.map(({ connectionId }) => connectionId).sort(),
    clientUri: stored.client_uri ?? null,
    policyUri: stored.policy_uri ?? null,
    tosUri: stored.tos_uri ?? null,
    secrets: row.secrets
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .map(({ createdAt, expiresAt }) => ({ createdAt, expiresAt })),
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
    ['name (ja)', client.name.ja],
    ['name (en)', client.name.en],
    ['redirect URIs', client.redirectUris],
    ['post-logout URIs', client.postLogoutRedirectUris],
    ['scopes', client.scopes.join(' ')],
    ['authentication', client.authMethod],
    ['connections', client.connections.join(' ') || 'none'],
    ['first party', client.firstParty ? 'yes: consent is not asked for' : 'no'],
    ['client URI', client.clientUri ?? undefined],
    ['policy URI', client.policyUri ?? undefined],
    ['terms URI', client.tosUri ?? undefined],
    ['secrets', client.secrets.map(secretLine)],
    ['registered', moment(client.createdAt)],
    ['disabled', client.disabledAt ? moment(client.disabledAt) : 'no'],
  ]
}

function secretLine({ createdAt, expiresAt }: ClientView['secrets'][number]): string {
  return `made ${moment(createdAt)}, works ${expiresAt ? `until ${moment(expiresAt)}` : 'until it is rotated'}`
}
