import type { KoaContextWithOIDC, Provider } from 'oidc-provider'
import { recordEvents } from '../events/outbox.ts'
import type { Db, Tx } from '../store/db.ts'
import { accountClientId } from './clients/account-client.ts'
import { addContent, claimsOf } from './grant-content.ts'

type Grant = InstanceType<Provider['Grant']>

/** How old `lastUsedAt` may be before it is written again. */
export const grantUseSeconds = 60

/**
 * The grant an authorization request starts from: what was just consented to, else what this member allowed this client
 * before, in whatever browser. Our own pages need nobody's consent.
 */
export function loadExistingGrant(db: Db) {
  return async (ctx: KoaContextWithOIDC): Promise<Grant | undefined> => {
    const { client, session, result, provider } = ctx.oidc
    if (!client || !session?.accountId) return undefined
    if (client.clientId === accountClientId) {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
      grant.addOIDCScope('openid')
      return grant
    }
    const consented = result?.consent?.grantId
    const id = consented ?? (await findGrantId(db, session.accountId, client.clientId))
    const grant = id ? await provider.Grant.find(id) : undefined
    if (client.first_party === true) return grantToFirstParty(ctx, session.accountId, grant)
    return grant && addClaimsOfScopes(ctx, grant)
  }
}

/** The newest grant of a member to a client. */
export async function findGrantId(tx: Tx, memberId: string, clientId: string): Promise<string | undefined> {
  const row = await tx.grant.findFirst({
    where: { memberId, clientId },
    orderBy: { createdAt: 'desc' },
    select: { id: true },
  })
  return row?.id
}

/** Ends what a member allowed one client, or all of them, and with it every token they have. The clients it was. */
export async function revokeGrants(
  tx: Tx,
  { memberId, clientId }: { memberId: string; clientId?: string },
  now: Date,
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ clientId: string }[]>`
    DELETE FROM "Grant" WHERE "memberId" = ${memberId}::uuid
      AND (${clientId ?? null}::text IS NULL OR "clientId" = ${clientId ?? null}::text)
    RETURNING "clientId"`
  const clientIds = [...new Set(rows.map((row) => row.clientId))].sort()
  const events = clientIds.map((id) => ({ type: 'grant.revoked', memberId, data: { clientId: id } }) as const)
  await recordEvents(tx, events, now)
  return clientIds
}

/** Writes down, to the minute, that a member signed in with a grant or a client refreshed tokens of it. */
export async function noteGrantUse(tx: Tx, grantId: string, now: Date): Promise<void> {
  const before = new Date(now.getTime() - grantUseSeconds * 1000)
  await tx.grant.updateMany({
    where: { id: grantId, OR: [{ lastUsedAt: null }, { lastUsedAt: { lt: before } }] },
    data: { lastUsedAt: now },
  })
}

/** An administrator decided that members need not be asked about this client: it gets what it asks for. */
async function grantToFirstParty(
  { oidc }: KoaContextWithOIDC,
  accountId: string,
  existing: Grant | undefined,
): Promise<Grant> {
  const { client, provider, requestParamOIDCScopes, requestParamScopes, requestParamClaims } = oidc
  const grant = existing ?? new provider.Grant({ accountId, ...(client && { clientId: client.clientId }) })
  const resources = Object.entries(oidc.resourceServers ?? {}).map(([id, { scopes }]) => ({
    id,
    scopes: [...requestParamScopes].filter((scope) => scopes.has(scope)),
  }))
  const asked = { scopes: [...requestParamOIDCScopes], claims: [...requestParamClaims], resources }
  if (addContent(grant, asked)) await grant.save()
  return grant
}

/** OpenID Connect Core 5.4: a scope stands for claims. Who allowed the scope is not asked for one of them by its name. */
async function addClaimsOfScopes({ oidc }: KoaContextWithOIDC, grant: Grant): Promise<Grant> {
  const covered = claimsOf(grant.getOIDCScope().split(' '))
  const claims = [...oidc.requestParamClaims].filter((claim) => covered.has(claim))
  if (addContent(grant, { claims })) await grant.save()
  return grant
}
