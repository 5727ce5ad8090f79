import { disableConnection, findConnection } from '../connections/connection.ts'
import { endSessionsOf } from '../members/member.ts'
import { type Db, inTransaction } from '../store/db.ts'

/** Members whose sessions end in one transaction. */
const batchSize = 500

/**
 * Disables a connection and ends the sessions and tokens of every member who has signed in through it: no session says
 * how it began. Can be run again after it was cut short: each member's end once for one disabling.
 */
export async function disableConnectionAndSessions(
  db: Db,
  connectionId: string,
  now: Date,
): Promise<{ changed: boolean; membersSignedOut: number }> {
  const changed = await inTransaction(db, (tx) => disableConnection(tx, connectionId, now))
  const disabledAt = (await findConnection(db, connectionId))?.disabledAt
  let membersSignedOut = 0
  if (!disabledAt) return { changed, membersSignedOut }
  for (;;) {
    const ended = await inTransaction(db, async (tx) => {
      const members = await tx.member.findMany({
        where: {
          sessionsValidFrom: { lte: disabledAt },
          identities: { some: { connectionId, lastUsedAt: { not: null } } },
        },
        select: { id: true },
        orderBy: { id: 'asc' },
        take: batchSize,
      })
      const ids = members.map(({ id }) => id)
      if (ids.length > 0) await endSessionsOf(tx, ids, { reason: 'connection_disabled', connectionId }, now)
      return ids.length
    })
    membersSignedOut += ended
    if (ended < batchSize) return { changed, membersSignedOut }
  }
}
