import { presentConnection } from '../../connections/connection.ts'
import type { HttpContext } from '../../http/context.ts'
import { render } from '../../http/render.ts'
import { type SignInUrl, seeOther } from '../../http/signed-in.ts'
import type { PasswordHasher } from '../../members/credentials/password.ts'
import { displayNameOf } from '../identity.ts'
import type { LinkTransaction } from '../transaction.ts'
import type { TripDeps } from '../upstream-trip.ts'
import type { CarryOutDeps } from './carry-out.ts'
import { openConflict } from './conflict.ts'
import { summarizeMember } from './member-summary.ts'
import { findSituation, type Situation } from './situation.ts'

export interface ConflictDeps extends TripDeps, CarryOutDeps {
  signInUrl: SignInUrl
  hasher: PasswordHasher
}

/**
 * The page of a conflict: what the claimant may choose, or why nothing can be done here. Whoever has not proved the
 * owner's side learns of it that it is another member's, and nothing else: the page is the same whoever that is.
 */
export async function showConflict(
  deps: ConflictDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  claimantId: string,
): Promise<void> {
  const { now, locale } = ctx.state
  const situation = await findSituation(deps.db, transaction, claimantId, deps.recentSeconds, now)
  // The account is nobody else's any more: the transaction's page says what that means.
  if (!situation) return seeOther(ctx, `/link/${transaction.id}`)
  const conflict = await openConflict(deps.db, situation.contest, transaction, now)
  const { proof, choices, contest } = situation
  const claimant = await summarizeMember(deps.db, claimantId, locale, now)
  const owner = proof.proved ? await summarizeMember(deps.db, contest.ownerId, locale, now) : undefined
  ctx.status = 409
  render(ctx, 'linking/conflict', {
    ...presentAccount(ctx, transaction, situation),
    ...{ proof, choices, claimant, owner },
    raised: conflict.raisedAt ? conflict.id : undefined,
  })
}

/** What every page of a conflict says of the account it is about. */
export function presentAccount(
  ctx: HttpContext,
  { id }: LinkTransaction,
  { connection, identity }: Pick<Situation, 'connection' | 'identity'>,
): Record<string, unknown> {
  return {
    transactionId: id,
    connection: presentConnection(connection, ctx.state.locale),
    identity: { displayName: displayNameOf(identity.profile), email: identity.profile.email },
  }
}
