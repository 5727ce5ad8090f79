import type { Db } from '../store/db.ts'
import { type SealedColumn, sealedColumn } from '../store/sealed-column.ts'
import { secretContext } from './connection.ts'

/** What we authenticate with at upstreams. */
export function connectionSeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'connection secrets', context: secretContext },
    ...{ table: 'Connection', key: 'id', keyType: 'text', column: 'sealedSecret' },
  })
}
