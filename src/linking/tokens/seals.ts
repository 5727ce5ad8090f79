import type { Db } from '../../store/db.ts'
import type { SealedColumn } from '../../store/sealed-column.ts'
import { sealContext } from './token-vault.ts'

/** The tokens of upstreams, those of links that are over and wait for their revocation included. */
export function upstreamTokenSeals(db: Db): SealedColumn {
  return {
    name: 'upstream tokens',
    context: sealContext,
    count: () => db.upstreamToken.count(),
    findOthers: (prefix, afterId, take) =>
      db.upstreamToken.findMany({
        where: {
          NOT: { sealed: { startsWith: prefix } },
          ...(afterId !== undefined && { id: { gt: afterId } }),
        },
        select: { id: true, sealed: true },
        orderBy: { id: 'asc' },
        take,
      }),
    async replace({ id, sealed }, fresh) {
      const { count } = await db.upstreamToken.updateMany({ where: { id, sealed }, data: { sealed: fresh } })
      return count > 0
    },
  }
}
