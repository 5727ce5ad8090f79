import { recordEvent } from '../../events/outbox.ts'
import { inTransaction } from '../../store/db.ts'
import { type FederatedIdentifier, findIdentity } from '../identity.ts'
import { type Notice, takeNotice } from '../notices/notice.ts'
import type { MessagingDeps } from './deps.ts'

/**
 * Notes whether the holder of a linked account gets messages. The newest word counts, in whatever order they come; of who
 * has linked nothing, nothing is noted.
 */
export async function noteFriendship(
  { db, now }: Pick<MessagingDeps, 'db' | 'now'>,
  notice: Notice,
  account: FederatedIdentifier,
  said: { isFriend: boolean; at: Date },
): Promise<void> {
  await inTransaction(db, async (tx) => {
    if (!(await takeNotice(tx, notice.id, now()))) return
    const identity = await findIdentity(tx, account)
    if (!identity) return
    const { count } = await tx.federatedIdentity.updateMany({
      where: {
        id: identity.id,
        OR: [{ friendshipChangedAt: null }, { friendshipChangedAt: { lt: said.at } }],
      },
      data: { isFriend: said.isFriend, friendshipChangedAt: said.at },
    })
    if (count === 0 || identity.isFriend === said.isFriend) return
    const { id: identityId, memberId, connectionId } = identity
    const type = said.isFriend ? 'friendship.started' : 'friendship.ended'
    await recordEvent(tx, { type, memberId, data: { connectionId, identityId } }, now())
  })
}
