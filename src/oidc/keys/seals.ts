import type { Db } from '../../store/db.ts'
import { type SealedColumn, sealedColumn } from '../../store/sealed-column.ts'
import { sealContext } from './signing-key.ts'

/** The private parts of all signing keys that are not destroyed. */
export function signingKeySeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'signing keys', context: sealContext },
    ...{ table: 'SigningKey', key: 'kid', keyType: 'text', column: 'sealedPrivate' },
  })
}
