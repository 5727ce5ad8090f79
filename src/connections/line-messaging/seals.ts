import type { Db } from '../../store/db.ts'
import type { SealedColumn } from '../../store/sealed-column.ts'
import { channelSecretContext } from './official-account.ts'

/** What we speak and listen as at LINE's Messaging API. */
export function officialAccountSeals(db: Db): SealedColumn {
  return {
    name: 'official account secrets',
    context: channelSecretContext,
    count: () => db.messagingChannel.count(),
    async findOthers(prefix, afterId, take) {
      const rows = await db.messagingChannel.findMany({
        where: {
          NOT: { sealedSecret: { startsWith: prefix } },
          ...(afterId !== undefined && { connectionId: { gt: afterId } }),
        },
        select: { connectionId: true, sealedSecret: true },
        orderBy: { connectionId: 'asc' },
        take,
      })
      return rows.map(({ connectionId, sealedSecret }) => ({ id: connectionId, sealed: sealedSecret }))
    },
    async replace({ id, sealed }, fresh) {
      const where = { connectionId: id, sealedSecret: sealed }
      const { count } = await db.messagingChannel.updateMany({ where, data: { sealedSecret: fresh } })
      return count > 0
    },
  }
}
