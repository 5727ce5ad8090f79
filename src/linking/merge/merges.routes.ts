import Router from '@koa/router'
import { z } from 'zod'
import { recordEvent } from '../../events/outbox.ts'
import type { BrowserSession, HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter, readForm } from '../../http/input.ts'
import { spend } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { isRecent, requireSession, type SignInUrl, seeOther, sessionOf } from '../../http/signed-in.ts'
import { codeTtlSeconds, type EmailCodes } from '../../members/email-code.ts'
import { oneTimeCode } from '../../members/registration-form.ts'
import { Problem } from '../../problem.ts'
import type { Random } from '../../security/random.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { Merge } from '../../store/generated/client.ts'
import { isRowId } from '../../store/row-id.ts'
import { absorbedAddress } from './mail.ts'
import { listMerges, presentUndo } from './present.ts'
import { undoMerge } from './undo.ts'
import { gatherUndoFacts } from './undo-facts.ts'
import { planUndo } from './undo-plan.ts'

export interface MergePageDeps {
  db: Db
  store: Ephemeral
  random: Random
  codes: EmailCodes
  signInUrl: SignInUrl
  recentSeconds: number
}

const perMerge = { name: 'merge-undo', limit: 5, windowSeconds: 3600 }
const codeForm = z.object({ code: oneTimeCode })

/**
 * Where a member sees what was merged into theirs, and takes it back. That takes both sides: a recent sign-in of the
 * survivor, and a code sent to the address the absorbed member had. Signing in would prove nothing of that side, for all
 * its ways in lead to the survivor by now; and a code is typed where it was asked for, as a link in a mail is not.
 */
export function mergeRoutes(deps: MergePageDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account/merges' })
  router.use(requireSession(deps.signInUrl))
  router.get('/', (ctx) => showMerges(deps, ctx))
  router.get('/:id/undo', (ctx) => withOwn(deps, ctx, (merge) => showUndo(deps, ctx, merge)))
  router.post('/:id/undo', (ctx) => withOwn(deps, ctx, (merge) => sendCode(deps, ctx, merge)))
  router.get('/:id/undo/:undoId', (ctx) =>
    withOwn(deps, ctx, (merge) => showCode(deps, ctx, merge, String(ctx.params.undoId))),
  )
  router.post('/:id/undo/:undoId', (ctx) =>
    withOwn(deps, ctx, (merge) => undo(deps, ctx, merge, String(ctx.params.undoId))),
  )
  return router
}

/** Merges of others are not there, whoever asks. @throws Problem not_found */
async function withOwn(
  deps: MergePageDeps,
  ctx: HttpContext & { params: { id?: string } },
  step: (merge: Merge) => Promise<void>,
): Promise<void> {
  const session = sessionOf(ctx)
  const id = String(ctx.params.id)
  const merge = isRowId(id)
    ? await deps.db.merge.findFirst({ where: { id, survivorId: session.memberId } })
    : null
  if (!merge) throw new Problem('not_found')
  if (!isRecent(session, deps.recentSeconds, ctx.state.now))
    return seeOther(ctx, deps.signInUrl(`/account/merges/${id}/undo`, 'afresh'))
  await step(merge)
}

async function showMerges({ db }: MergePageDeps, ctx: HttpContext): Promise<void> {
  const { memberId } = sessionOf(ctx)
  const merges = await listMerges(db, memberId, ctx.state.locale, ctx.state.now)
  const flash = queryParameter(ctx, 'notice') === 'merge_undone' ? 'merge_undone' : undefined
  render(ctx, 'linking/merges', { merges, flash })
}

async function showUndo({ db }: MergePageDeps, ctx: HttpContext, merge: Merge): Promise<void> {
  const plan = planUndo(await gatherUndoFacts(db, merge.id), ctx.state.now)
  const address = await absorbedAddress(db, merge.id)
  render(ctx, 'linking/merge-undo', {
    merge: { id: merge.id, mergedAt: merge.mergedAt, undoUntil: merge.undoUntil },
    address: address?.value,
    ...(plan.action === 'refuse'
      ? { refused: plan.reason }
      : { back: await presentUndo(db, merge, plan, ctx.state.locale) }),
  })
}

const pendingKey = (undoId: string) => `merge-undo:${undoId}`
/** Bound to the session that asked: elsewhere the code is worth nothing. */
const bindingOf = (merge: Merge, { uid }: BrowserSession) => `${merge.id} ${uid}`

async function sendCode(deps: MergePageDeps, ctx: HttpContext, merge: Merge): Promise<void> {
  const { db, store, random } = deps
  const plan = planUndo(await gatherUndoFacts(db, merge.id), ctx.state.now)
  if (plan.action === 'refuse' || !(await absorbedAddress(db, merge.id))) return showUndo(deps, ctx, merge)
  await spend(store, perMerge, merge.id)
  const undoId = random.token(18)
  await store.set(pendingKey(undoId), bindingOf(merge, sessionOf(ctx)), 2 * codeTtlSeconds)
  const data = { mergeId: merge.id, by: 'member', undoId }
  await recordEvent(
    db,
    { type: 'member.merge_undo_requested', memberId: merge.survivorId, data },
    ctx.state.now,
  )
  seeOther(ctx, `/account/merges/${merge.id}/undo/${undoId}`)
}

async function showCode(
  { db, store }: MergePageDeps,
  ctx: HttpContext,
  merge: Merge,
  undoId: string,
  fields: Record<string, unknown> = {},
): Promise<void> {
  if ((await store.get(pendingKey(undoId))) !== bindingOf(merge, sessionOf(ctx)))
    return seeOther(ctx, `/account/merges/${merge.id}/undo`)
  const address = await absorbedAddress(db, merge.id)
  render(ctx, 'linking/merge-undo-code', { merge: { id: merge.id }, undoId, email: address?.value, fields })
}

async function undo(deps: MergePageDeps, ctx: HttpContext, merge: Merge, undoId: string): Promise<void> {
  const { db, store, codes } = deps
  const { now } = ctx.state
  if ((await store.get(pendingKey(undoId))) !== bindingOf(merge, sessionOf(ctx)))
    return seeOther(ctx, `/account/merges/${merge.id}/undo`)
  const again = (fields: Record<string, unknown>) => {
    ctx.status = 422
    return showCode(deps, ctx, merge, undoId, fields)
  }
  const form = readForm(ctx, codeForm)
  if (!form.ok) return again(form.fields)
  const verdict = await codes.redeem(undoId, form.data.code)
  if (verdict.outcome === 'wrong')
    return again({ code: { key: 'code_wrong', params: { left: verdict.triesLeft } } })
  if (verdict.outcome === 'used_up') return again({ code: 'code_used_up' })
  await store.delete(pendingKey(undoId))
  await inTransaction(db, (tx) => undoMerge(tx, merge, 'member', now))
  // Every session of both has ended: who signs in next is told.
  seeOther(ctx, '/account/merges?notice=merge_undone')
}
