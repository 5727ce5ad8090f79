import type { HttpContext } from '../../http/context.ts'
import { isRecent, seeOther } from '../../http/signed-in.ts'
import { actingMember, unlessOver } from '../link-request.ts'
import type { LinkTransaction } from '../transaction.ts'
import type { ConflictDeps } from './page.ts'
import { findSituation, type Situation } from './situation.ts'

/** A claimant before a page of their conflict. */
export interface Visit {
  ctx: HttpContext
  transaction: LinkTransaction
  claimantId: string
  situation: Situation
}

/** Answers a request of a conflict, as long as there is one; else the transaction's page says what is now so. */
export function visitConflict(
  deps: ConflictDeps,
  ctx: HttpContext & { params: { id?: string } },
  answer: (visit: Visit) => Promise<void> | void,
): Promise<void> {
  return unlessOver(deps, ctx, async (transaction) => {
    const claimantId = actingMember(ctx, transaction)
    const situation =
      claimantId && (await findSituation(deps.db, transaction, claimantId, deps.recentSeconds, ctx.state.now))
    if (!claimantId || !situation) return seeOther(ctx, conflictPath(transaction))
    return answer({ ctx, transaction, claimantId, situation })
  })
}

/**
 * True when the claimant's own side was proved recently as well. A session that has grown older proves itself once more
 * and comes back (OWASP ASVS 7.5.1); who signed in within this transaction has just done so.
 */
export function requireRecent(deps: ConflictDeps, { ctx, transaction }: Visit): boolean {
  const { session, now } = ctx.state
  if (transaction.purpose === 'sign_in') return true
  if (session && isRecent(session, deps.recentSeconds, now)) return true
  seeOther(ctx, deps.signInUrl(conflictPath(transaction), 'afresh'))
  return false
}

export const conflictPath = ({ id }: LinkTransaction) => `/link/${id}`
