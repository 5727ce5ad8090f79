import type { Db } from '../store/db.ts'
import type { SealedColumn } from '../store/sealed-column.ts'
import { secretContext } from './connection.ts'

/** What we authenticate with at upstreams. */
export function connectionSeals(db: Db): SealedColumn {
  return {
    name: 'connection secrets',
    context: secretContext,
    count: () => db.connection.count(),
    async findOthers(prefix, afterId, take) {
      const rows = await db.connection.findMany({
        where: {
          NOT: { sealedSecret: { startsWith: prefix } },
          ...(afterId !== undefined && { id: { gt: afterId } }),
        },
        select: { id: true, sealedSecret: true },
        orderBy: { id: 'asc' },
        take,
      })
      return rows.map(({ id, sealedSecret }) => ({ id, sealed: sealedSecret }))
    },
    async replace({ id, sealed }, fresh) {
      const where = { id, sealedSecret: sealed }
      const { count } = await db.connection.updateMany({ where, data: { sealedSecret: fresh } })
      return count > 0
    },
  }
}
