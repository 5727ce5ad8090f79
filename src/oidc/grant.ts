import type { KoaContextWithOIDC, Provider } from 'oidc-provider'
import type { Db, Tx } from '../store/db.ts'
import { accountClientId } from './clients/account-client.ts'

type Grant = InstanceType<Provider['Grant']>

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
    return client.first_party === true ? grantToFirstParty(ctx, session.accountId, grant) : grant
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

/** An administrator decided that members need not be asked about this client: it gets what it asks for. */
async function grantToFirstParty(
  { oidc }: KoaContextWithOIDC,
  accountId: string,
  existing: Grant | undefined,
): Promise<Grant> {
  const { client, provider, requestParamOIDCScopes } = oidc
  const grant = existing ?? new provider.Grant({ accountId, ...(client && { clientId: client.clientId }) })
  const had = new Set(grant.getOIDCScopeEncountered().split(' '))
  const missing = [...requestParamOIDCScopes].filter((scope) => !had.has(scope))
  if (missing.length > 0) {
    grant.addOIDCScope(missing.join(' '))
    await grant.save()
  }
  return grant
}
