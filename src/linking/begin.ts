import { recordEvent } from '../events/outbox.ts'
import type { Db } from '../store/db.ts'
import { findOffered } from './campaigns/offer.ts'
import type { LinkTransaction, Transactions } from './transaction.ts'
import { trailOf } from './way.ts'

/** Starts a link that a known member asked for, and counts it. The transaction's own page (`/link/<id>`) leads on. */
export async function beginLink(
  { db, transactions }: { db: Db; transactions: Transactions },
  fresh: Omit<LinkTransaction, 'id' | 'retries' | 'purpose' | 'memberId'> & { memberId: string },
  now: Date,
): Promise<LinkTransaction> {
  // What this member is told of now is what the link is counted under to its end.
  const campaignId = fresh.campaignId ?? (await findOffered(db, fresh, now))
  const transaction = await transactions.start({
    ...fresh,
    ...(campaignId && { campaignId }),
    purpose: 'link',
  })
  await recordEvent(db, { type: 'link.started', memberId: fresh.memberId, data: trailOf(transaction) }, now)
  return transaction
}
