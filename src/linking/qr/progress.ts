import type { LinkOutcome } from '../outcome.ts'
import type { LinkTransaction, Transactions } from '../transaction.ts'
import type { QrLink } from './qr-link.ts'

/** How far a link between two devices has come. */
export type QrProgress =
  | { step: 'to_scan' }
  /** The phone is on its way to the upstream, or to sign in. */
  | { step: 'to_prove'; transaction: LinkTransaction }
  | { step: 'to_confirm'; transaction: LinkTransaction }
  | { step: 'to_type'; transaction: LinkTransaction; code: string }
  | { step: 'to_agree' }
  | { step: 'over'; outcome: LinkOutcome }

/** Both ends read it from the same place, so they never tell two stories. */
export async function progressOf(transactions: Transactions, link: QrLink): Promise<QrProgress> {
  const { phone, screen, onwardId, code } = link
  if (link.ended) return { step: 'over', outcome: link.ended }
  if (!phone) return { step: 'to_scan' }
  if (onwardId && screen) {
    const end = await transactions.findEnd(onwardId, [screen])
    return end?.outcome ? { step: 'over', outcome: end.outcome } : { step: 'to_agree' }
  }
  const end = await transactions.findEnd(phone.transactionId, [phone.browser])
  if (end?.outcome) return { step: 'over', outcome: end.outcome }
  if (link.isConfirmed) return { step: 'to_agree' }
  const transaction = await transactions.get(phone.transactionId, [phone.browser])
  if (!transaction.proved) return { step: 'to_prove', transaction }
  return code === undefined ? { step: 'to_confirm', transaction } : { step: 'to_type', transaction, code }
}
