import type { UpstreamAnswer } from '../../connections/connector.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { HttpContext } from '../../http/context.ts'
import { seeOther } from '../../http/signed-in.ts'
import { type SignIn, signInOf } from '../../members/authentication.ts'
import { findActiveMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import { findIdentity } from '../identity.ts'
import type { LinkTransaction, Transactions } from '../transaction.ts'
import { type Contest, openConflict } from './conflict.ts'

/** What a trip is called on which a claimant signs in to the owner's side. */
export const ownerStep = 'owner'

interface ProofDeps {
  db: Db
  transactions: Transactions
}

/** Keeps in the transaction, and nowhere else, that the claimant has signed in to the owner's side as well. */
export async function keepOwnerProof(
  { db, transactions }: ProofDeps,
  transaction: LinkTransaction,
  contest: Contest,
  { validFrom, connectionId = 'password' }: SignIn,
  now: Date,
): Promise<void> {
  const memberId = contest.ownerId
  const at = Math.floor(now.getTime() / 1000)
  await transactions.change(transaction, { ownerSignIn: { memberId, at, validFrom } })
  const conflict = await openConflict(db, contest, transaction, now)
  const data = { connectionId: contest.connectionId, conflictId: conflict.id, through: connectionId }
  await recordEvent(db, { type: 'link.owner_proved', memberId, data }, now)
}

/** How an upstream answered a trip of this step. Whatever it said, the conflict goes on. */
type OwnerAnswer = UpstreamAnswer | { outcome: 'failed' }

/**
 * Judges what came back from a connection at which the claimant was to sign in as the owner. The account it names has to
 * be the owner's, whichever it is; its tokens are not kept. @throws Problem transaction_over, account_unavailable
 */
export async function receiveOwner(
  deps: ProofDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  { connectionId, answer }: { connectionId: string; answer: OwnerAnswer },
): Promise<void> {
  const page = `/link/${transaction.id}`
  const again = (notice: string) =>
    seeOther(ctx, `${page}/owner?notice=${notice}&connection=${encodeURIComponent(connectionId)}`)
  const { proved, memberId: claimantId } = transaction
  if (!proved || !claimantId) throw new Problem('transaction_over')
  if (answer.outcome === 'cancelled') return again('connection_cancelled')
  if (answer.outcome !== 'verified') return again('upstream_failed')
  const claimed = await findIdentity(deps.db, proved.identity)
  const signedIn = await findIdentity(deps.db, answer.identity)
  if (!claimed || claimed.memberId === claimantId) return seeOther(ctx, page)
  if (signedIn?.memberId !== claimed.memberId) return again('not_the_owner')
  const owner = await findActiveMember(deps.db, claimed.memberId)
  if (!owner) throw new Problem('account_unavailable')
  const { issuer, subject, connectionId: contested } = claimed
  const contest = { connectionId: contested, issuer, subject, ownerId: owner.id, claimantId }
  await keepOwnerProof(deps, transaction, contest, signInOf(owner, [], connectionId), ctx.state.now)
  seeOther(ctx, page)
}
