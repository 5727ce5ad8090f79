import { listConnections } from '../../connections/connection.ts'
import type { Connection } from '../../connections/settings.ts'
import type { Tx } from '../../store/db.ts'
import { findOffered } from '../campaigns/offer.ts'
import { promptHistory } from './showing.ts'

/**
 * What a member who has signed in to this client may be asked to link: of the connections that ask so and have to do
 * with the client, one that is not linked and for which it is time. One with a reward comes first.
 */
export async function findCandidate(
  tx: Tx,
  { memberId, clientId }: { memberId: string; clientId: string },
  now: Date,
): Promise<Connection | undefined> {
  const allowed = await tx.clientConnection.findMany({
    where: { clientId, discloses: true, connection: { disabledAt: null, promptAfterSignIn: true } },
    select: { connectionId: true },
  })
  if (allowed.length === 0) return undefined
  const linked = await tx.federatedIdentity.findMany({ where: { memberId }, select: { connectionId: true } })
  const isAllowed = ({ id }: Connection) => allowed.some(({ connectionId }) => connectionId === id)
  const isLinked = ({ id }: Connection) => linked.some(({ connectionId }) => connectionId === id)
  let first: Connection | undefined
  for (const connection of await listConnections(tx, { withDisabled: false })) {
    if (!isAllowed(connection) || isLinked(connection)) continue
    const { isDismissed, isCapped } = await promptHistory(tx, memberId, connection, now)
    if (isDismissed || isCapped) continue
    const link = { connectionId: connection.id, way: 'prompt', memberId } as const
    if (await findOffered(tx, link, now)) return connection
    first ??= connection
  }
  return first
}
