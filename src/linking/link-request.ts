import type { HttpContext } from '../http/context.ts'
import { speak } from '../http/locale.ts'
import { seeOther } from '../http/signed-in.ts'
import { Problem } from '../problem.ts'
import type { LinkTransaction, Transactions } from './transaction.ts'
import { linkBrowsers } from './upstream-trip.ts'

/** A second click, a reload or the back button leads to where the transaction has led. */
export async function unlessOver(
  { transactions }: { transactions: Transactions },
  ctx: HttpContext & { params: { id?: string } },
  step: (transaction: LinkTransaction) => Promise<void> | void,
): Promise<void> {
  const id = String(ctx.params.id)
  try {
    const transaction = await transactions.get(id, linkBrowsers(ctx))
    speak(ctx, transaction.locale)
    await step(transaction)
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'transaction_over') throw error
    const end = await transactions.findEnd(id, linkBrowsers(ctx))
    if (!end) throw error
    seeOther(ctx, end.path)
  }
}

/**
 * The member this browser may act for in this transaction: for `link`, the member and session that began it; for
 * `sign_in`, who has just signed in within it. @throws Problem wrong_browser
 */
export function actingMember(
  ctx: HttpContext,
  { purpose, memberId, sessionUid }: LinkTransaction,
): string | undefined {
  if (purpose === 'sign_in') return memberId
  const { session } = ctx.state
  if (!session) return undefined
  if (session.memberId !== memberId || session.uid !== sessionUid) throw new Problem('wrong_browser')
  return memberId
}
