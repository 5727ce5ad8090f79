import Router from '@koa/router'
import { z } from 'zod'
import type { HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import { inTransaction } from '../../store/db.ts'
import { placeOf } from '../consent/place.ts'
import { type LinkNotice, pathAfter } from '../outcome.ts'
import { mergeMembers, moveToClaimant } from './carry-out.ts'
import { closeConflict, findOpenConflict, openConflict, raiseConflict } from './conflict.ts'
import { type ConflictDeps, presentAccount } from './page.ts'
import { previewMerge, previewMove, type Survivor } from './preview.ts'
import { conflictPath, requireRecent, type Visit, visitConflict } from './visit.ts'

const shown = z.string().max(100)
const moveForm = z.object({ shown })
const survivors = z.enum(['claimant', 'owner'])
const mergeForm = z.object({ shown, survivor: survivors })

/** What a claimant may do about a conflict, each with a page that says what it does before it is done. */
export function conflictRoutes(deps: ConflictDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/link/:id' })
  router.post('/keep', (ctx) => visitConflict(deps, ctx, (visit) => keep(deps, visit)))
  router.post('/raise', (ctx) => visitConflict(deps, ctx, (visit) => raise(deps, visit)))
  router.get('/move', (ctx) => visitConflict(deps, ctx, (visit) => showMove(deps, visit)))
  router.post('/move', (ctx) => visitConflict(deps, ctx, (visit) => move(deps, visit)))
  router.get('/merge', (ctx) =>
    visitConflict(deps, ctx, (visit) => showMerge(deps, visit, survivorIn(visit))),
  )
  router.post('/merge', (ctx) => visitConflict(deps, ctx, (visit) => merge(deps, visit)))
  return router
}

/** Everything stays as it is. What an operator was asked to look at stays with the operator. */
async function keep(deps: ConflictDeps, { ctx, transaction, situation }: Visit): Promise<void> {
  if (!(await deps.transactions.burn(transaction, 'conflict_kept'))) throw new Problem('transaction_over')
  const conflict = await findOpenConflict(deps.db, situation.contest)
  if (conflict && !conflict.raisedAt) {
    const decision = { outcome: 'kept', by: 'member' } as const
    await inTransaction(deps.db, (tx) => closeConflict(tx, conflict, decision, ctx.state.now)).catch(
      ignoreDecided,
    )
  }
  seeOther(ctx, pathAfter(transaction, 'conflict_kept'))
}

function ignoreDecided(error: unknown): void {
  if (!(error instanceof Problem) || error.code !== 'conflict_changed') throw error
}

async function raise(deps: ConflictDeps, { ctx, transaction, situation }: Visit): Promise<void> {
  if (situation.choices.raise) {
    const conflict = await openConflict(deps.db, situation.contest, transaction, ctx.state.now)
    await raiseConflict(deps.db, conflict, ctx.state.now)
  }
  seeOther(ctx, conflictPath(transaction))
}

async function showMove(deps: ConflictDeps, visit: Visit): Promise<void> {
  const { ctx, transaction, situation } = visit
  if (situation.choices.move !== 'offered') return seeOther(ctx, conflictPath(transaction))
  if (!requireRecent(deps, visit)) return
  const { locale, now } = ctx.state
  const preview = await previewMove(deps.db, situation, { termsVersion: deps.termsVersion, locale }, now)
  render(ctx, 'linking/move', { ...presentAccount(ctx, transaction, situation), ...preview })
}

async function move(deps: ConflictDeps, visit: Visit): Promise<void> {
  const { ctx, transaction, claimantId, situation } = visit
  const { shown } = requireForm(ctx, moveForm)
  const { locale, now } = ctx.state
  if (situation.choices.move !== 'offered') return seeOther(ctx, conflictPath(transaction))
  if (!requireRecent(deps, visit)) return
  const preview = await previewMove(deps.db, situation, { termsVersion: deps.termsVersion, locale }, now)
  // What changed since the page was shown has not been agreed to.
  if (!equalInConstantTime(shown, preview.digest)) return showMove(deps, visit)
  const chosen = { transaction, claimantId, shown, locale, place: placeOf(ctx) }
  await carryOut(deps, visit, 'moved', () => moveToClaimant(deps, chosen, now))
}

/** Unless another is named, the member who is signed in now goes on. */
const survivorIn = ({ ctx }: Visit): Survivor => survivors.catch('claimant').parse(ctx.query.survivor)

async function showMerge(deps: ConflictDeps, visit: Visit, survivor: Survivor): Promise<void> {
  const { ctx, transaction, situation } = visit
  if (situation.choices.merge !== 'offered') return seeOther(ctx, conflictPath(transaction))
  if (!requireRecent(deps, visit)) return
  const { locale, now } = ctx.state
  const preview = await previewMerge(deps.db, situation, { survivor, locale }, now)
  if (!preview) throw new Problem('merge_refused')
  render(ctx, 'linking/merge-preview', {
    ...presentAccount(ctx, transaction, situation),
    ...{ preview, side: survivor, undoDays: deps.mergeUndoDays },
  })
}

async function merge(deps: ConflictDeps, visit: Visit): Promise<void> {
  const { ctx, transaction, claimantId, situation } = visit
  const { shown, survivor } = requireForm(ctx, mergeForm)
  const { locale, now } = ctx.state
  if (situation.choices.merge !== 'offered') return seeOther(ctx, conflictPath(transaction))
  if (!requireRecent(deps, visit)) return
  const preview = await previewMerge(deps.db, situation, { survivor, locale }, now)
  if (!preview || !equalInConstantTime(shown, preview.digest)) return showMerge(deps, visit, survivor)
  const chosen = { transaction, claimantId, shown, survivor, locale, place: placeOf(ctx) }
  await carryOut(deps, visit, 'merged', () => mergeMembers(deps, chosen, now))
}

/** Ends the transaction, does what was chosen, and tells; what could not be done is shown again as it is now. */
async function carryOut(
  { transactions }: ConflictDeps,
  { ctx, transaction }: Visit,
  notice: LinkNotice,
  act: () => Promise<void>,
): Promise<void> {
  if (!(await transactions.burn(transaction))) throw new Problem('transaction_over')
  try {
    await act()
  } catch (error) {
    await transactions.reopen(transaction)
    if (!(error instanceof Problem) || error.status !== 409) throw error
    return seeOther(ctx, conflictPath(transaction))
  }
  await transactions.settle(transaction, 'linked', notice)
  seeOther(ctx, pathAfter(transaction, 'linked', notice))
}
