import type { Db } from '../../store/db.ts'
import type { SealedColumn } from '../../store/sealed-column.ts'
import { sealContext } from './signing-key.ts'

/** The private parts of all signing keys that are not destroyed. */
export function signingKeySeals(db: Db): SealedColumn {
  return {
    name: 'signing keys',
    context: sealContext,
    count: () => db.signingKey.count({ where: { sealedPrivate: { not: null } } }),
    async findOthers(prefix, afterId, take) {
      const rows = await db.signingKey.findMany({
        where: {
          sealedPrivate: { not: null },
          NOT: { sealedPrivate: { startsWith: prefix } },
          ...(afterId !== undefined && { kid: { gt: afterId } }),
        },
        select: { kid: true, sealedPrivate: true },
        orderBy: { kid: 'asc' },
        take,
      })
      return rows.map(({ kid, sealedPrivate }) => ({ id: kid, sealed: sealedPrivate ?? '' }))
    },
    async replace({ id, sealed }, fresh) {
      const where = { kid: id, sealedPrivate: sealed }
      const { count } = await db.signingKey.updateMany({ where, data: { sealedPrivate: fresh } })
      return count > 0
    },
  }
}
