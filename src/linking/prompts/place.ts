import { z } from 'zod'
import { getUsableConnection } from '../../connections/connection.ts'
import type { Connection } from '../../connections/settings.ts'
import { type LocalizedName, localizedName } from '../../http/i18n.ts'
import { contentOf } from '../../oidc/grant-content.ts'
import { Problem } from '../../problem.ts'
import type { Tx } from '../../store/db.ts'

/** Where a prompt is shown: for whom, and where it leads back to. */
export interface PromptPlace {
  connection: Connection
  clientId: string
  clientName: LocalizedName
  isFirstParty: boolean
  returnUrl: string
}

const addresses = z.object({
  client_uri: z.string().optional().catch(undefined),
  redirect_uris: z.array(z.string()).default([]).catch([]),
})

/**
 * The place an address names. Only a client that may see links of the connection can have members asked for one.
 * @throws Problem client_unavailable, connection_unavailable
 */
export async function findPlace(
  tx: Tx,
  {
    clientId,
    connectionId,
    returnTo,
  }: { clientId: string; connectionId: string; returnTo?: string | undefined },
): Promise<PromptPlace> {
  // RFC 6749 Appendix A.1: printable ASCII; the database refuses some of the rest.
  const isId = /^[\x20-\x7e]{1,255}$/.test(clientId) && /^[a-z][a-z0-9-]{1,30}$/.test(connectionId)
  const row = isId
    ? await tx.client.findUnique({ where: { id: clientId }, include: { connections: true } })
    : null
  if (!row || row.disabledAt) throw new Problem('client_unavailable')
  const allowed = row.connections.find((connection) => connection.connectionId === connectionId)
  if (!allowed?.discloses) throw new Problem('connection_unavailable')
  return {
    connection: await getUsableConnection(tx, connectionId),
    clientId,
    clientName: localizedName.parse(row.name),
    isFirstParty: row.firstParty,
    returnUrl: returnUrlOf(addresses.parse(row.metadata), returnTo),
  }
}

/**
 * Where a browser goes back to: an address of an origin the client registered, else its home page, else the front of
 * where it takes answers. Nothing else that a request asks for is an address to be sent to.
 */
export function returnUrlOf(
  {
    client_uri: home,
    redirect_uris: redirects,
  }: { client_uri?: string | undefined; redirect_uris: string[] },
  asked: string | undefined,
): string {
  const own = [home, ...redirects].flatMap((text) => {
    const url = text === undefined ? null : URL.parse(text)
    return url && /^https?:$/.test(url.protocol) ? [url] : []
  })
  const url = asked !== undefined && /^[\x21-\x7e]{1,1000}$/.test(asked) ? URL.parse(asked) : null
  const isOwn = url && !url.username && !url.password && own.some(({ origin }) => origin === url.origin)
  if (isOwn) return url.href
  const [first] = own
  if (!first) return '/account'
  return home !== undefined && URL.parse(home)?.href === first.href ? first.href : `${first.origin}/`
}

/** Whether this client may know that the member has an account of the connection linked. */
export async function mayTell(
  tx: Tx,
  { clientId, isFirstParty, connection }: PromptPlace,
  memberId: string,
): Promise<boolean> {
  const grants = await tx.grant.findMany({ where: { memberId, clientId }, select: { payload: true } })
  // A first-party client needs no consent, but it must be one this member uses.
  return grants.some(
    ({ payload }) => isFirstParty || contentOf(payload as object).connections.includes(connection.id),
  )
}
