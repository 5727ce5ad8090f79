import type { Db } from '../../store/db.ts'
import { type SealedColumn, sealedColumn } from '../../store/sealed-column.ts'
import { channelSecretContext } from './official-account.ts'

/** What we speak and listen as at LINE's Messaging API. */
export function officialAccountSeals(db: Db): SealedColumn {
  return sealedColumn(db, {
    ...{ name: 'official account secrets', context: channelSecretContext },
    ...{ table: 'MessagingChannel', key: 'connectionId', keyType: 'text', column: 'sealedSecret' },
  })
}
