import type { DomainEvent } from '../events/event.ts'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext } from '../http/context.ts'
import { seeOther } from '../http/signed-in.ts'
import type { ProblemCode } from '../problem.ts'
import { pathAfter } from './outcome.ts'
import type { LinkTransaction } from './transaction.ts'
import type { TripDeps } from './upstream-trip.ts'
import { trailOf } from './way.ts'

/** A trip to an upstream that led to nobody: the transaction is over, it is recorded why, and the browser goes back. */
export async function endTransaction(
  deps: TripDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  answer: { outcome: 'cancelled' | 'refused' } | { outcome: 'failed'; reason: ProblemCode },
): Promise<void> {
  const { memberId } = transaction
  // What the upstream wrote is not repeated: the audit trail keeps our own words.
  const reason = answer.outcome === 'failed' ? answer.reason : 'upstream_refused'
  const outcome = answer.outcome === 'cancelled' ? 'declined' : (`failed:${reason}` as const)
  if (await deps.transactions.burn(transaction, outcome)) {
    const data = trailOf(transaction)
    const event: DomainEvent =
      outcome === 'declined'
        ? { type: 'link.declined', data }
        : { type: 'link.refused', data: { ...data, reason } }
    await recordEvent(deps.db, { ...event, ...(memberId && { memberId }) }, ctx.state.now)
  }
  seeOther(ctx, pathAfter(transaction, outcome))
}
