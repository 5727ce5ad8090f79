import type { LineMessaging } from '../../connections/line-messaging/line-messaging.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import type { Db } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import type { Transactions } from '../transaction.ts'

/** What the talk of an official account needs, beside requests. */
export interface MessagingDeps {
  db: Db
  store: Ephemeral
  random: Random
  sealer: Sealer
  now: () => Date
  line: LineMessaging
  transactions: Transactions
  vault: TokenVault
  issuer: string
  serviceName: string
}
