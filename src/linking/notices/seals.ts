import type { Db } from '../../store/db.ts'
import { type SealedColumn, sealedColumn } from '../../store/sealed-column.ts'
import { noticeContext } from './notice.ts'

/** What upstreams told us and is still kept, handled or not. */
export function noticeSeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'upstream notices', context: noticeContext },
    ...{ table: 'UpstreamNotice', key: 'id', keyType: 'uuid', column: 'sealed' },
  })
}
