import { recordEvent } from '../events/outbox.ts'
import type { HttpContext } from '../http/context.ts'
import { isRecent, type SignInUrl, seeOther } from '../http/signed-in.ts'
import { Problem } from '../problem.ts'
import type { LinkTransaction } from './transaction.ts'
import type { TripDeps } from './upstream-trip.ts'
import { trailOf } from './way.ts'

/**
 * A link that was begun for nobody, or for a member who has to show themselves: it becomes that of the member who signs
 * in for it, now and in this browser. Undefined while they are sent to sign in.
 * @throws Problem wrong_member, after which it is over; transaction_over
 */
export async function adoptLink(
  deps: TripDeps & { signInUrl: SignInUrl; recentSeconds: number },
  ctx: HttpContext,
  transaction: LinkTransaction,
): Promise<LinkTransaction | undefined> {
  const { session, now } = ctx.state
  const page = `/link/${transaction.id}`
  if (!session) {
    seeOther(ctx, deps.signInUrl(page))
    return undefined
  }
  const { memberId, uid: sessionUid } = session
  if (transaction.memberId && transaction.memberId !== memberId) return refuseOther(deps, transaction, now)
  // Proof before power: whoever merely sits down at an open session links nothing (OWASP ASVS 7.5.1).
  if (!isRecent(session, deps.recentSeconds, now)) {
    seeOther(ctx, deps.signInUrl(page, 'afresh'))
    return undefined
  }
  const adopted = await deps.transactions.change(transaction, { memberId, sessionUid })
  if (adopted.proved)
    await recordEvent(deps.db, { type: 'link.proved', memberId, data: trailOf(adopted) }, now)
  return adopted
}

async function refuseOther(
  { db, transactions }: TripDeps,
  transaction: LinkTransaction,
  now: Date,
): Promise<never> {
  const { memberId } = transaction
  if (await transactions.burn(transaction, 'failed:wrong_member')) {
    const data = { ...trailOf(transaction), reason: 'wrong_member' }
    await recordEvent(db, { type: 'link.refused', ...(memberId && { memberId }), data }, now)
  }
  throw new Problem('wrong_member')
}
