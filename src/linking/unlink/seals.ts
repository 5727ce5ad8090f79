import type { Db } from '../../store/db.ts'
import { type SealedColumn, sealedColumn } from '../../store/sealed-column.ts'
import { addressContext } from './end-link.ts'

/** The addresses members had when a link of theirs ended, until they have been told there. */
export function formerAddressSeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'addresses before unlinking', context: addressContext },
    ...{ table: 'FormerIdentity', key: 'id', keyType: 'uuid', column: 'sealedAddress' },
  })
}
