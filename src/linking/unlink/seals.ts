import type { Db } from '../../store/db.ts'
import type { SealedColumn } from '../../store/sealed-column.ts'
import { addressContext } from './end-link.ts'

/** The addresses members had when a link of theirs ended, until they have been told there. */
export function formerAddressSeals(db: Db): SealedColumn {
  return {
    name: 'addresses before unlinking',
    context: addressContext,
    count: () => db.formerIdentity.count({ where: { sealedAddress: { not: null } } }),
    async findOthers(prefix, afterId, take) {
      const rows = await db.formerIdentity.findMany({
        where: {
          sealedAddress: { not: null },
          NOT: { sealedAddress: { startsWith: prefix } },
          ...(afterId !== undefined && { id: { gt: afterId } }),
        },
        select: { id: true, sealedAddress: true },
        orderBy: { id: 'asc' },
        take,
      })
      return rows.flatMap(({ id, sealedAddress: sealed }) => (sealed === null ? [] : [{ id, sealed }]))
    },
    async replace({ id, sealed }, fresh) {
      const where = { id, sealedAddress: sealed }
      const { count } = await db.formerIdentity.updateMany({ where, data: { sealedAddress: fresh } })
      return count > 0
    },
  }
}
