import type { Db } from '../../store/db.ts'
import type { SealedColumn } from '../../store/sealed-column.ts'
import { noticeContext } from './notice.ts'

/** What upstreams told us and is still kept, handled or not. */
export function noticeSeals(db: Db): SealedColumn {
  return {
    name: 'upstream notices',
    context: noticeContext,
    count: () => db.upstreamNotice.count(),
    findOthers: (prefix, afterId, take) =>
      db.upstreamNotice.findMany({
        where: {
          NOT: { sealed: { startsWith: prefix } },
          ...(afterId !== undefined && { id: { gt: afterId } }),
        },
        select: { id: true, sealed: true },
        orderBy: { id: 'asc' },
        take,
      }),
    async replace({ id, sealed }, fresh) {
      const { count } = await db.upstreamNotice.updateMany({ where: { id, sealed }, data: { sealed: fresh } })
      return count > 0
    },
  }
}
