import type { Db } from '../../store/db.ts'
import { type SealedColumn, sealedColumn } from '../../store/sealed-column.ts'
import { sealContext } from './token-vault.ts'

/** The tokens of upstreams, those of links that are over and wait for their revocation included. */
export function upstreamTokenSeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'upstream tokens', context: sealContext },
    ...{ table: 'UpstreamToken', key: 'id', keyType: 'uuid', column: 'sealed' },
  })
}
