import { type Command, InvalidArgumentError } from 'commander'
import { approvalHours, approveUndo, isWaiting, requestUndo } from '../linking/merge/second-approver.ts'
import { gatherUndoFacts } from '../linking/merge/undo-facts.ts'
import { planUndo } from '../linking/merge/undo-plan.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { Merge } from '../store/generated/client.ts'
import { isRowId } from '../store/row-id.ts'
import { addCommand, type Json } from './command.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, moment, plain, print, table } from './output.ts'
import { Refusal } from './refusal.ts'

export function addMerges(program: Command, surroundings: Surroundings): void {
  const merges = program
    .command('merges')
    .description('Members that were made one, and making them two again, which takes two operators.')
  addCommand(merges, 'list', 'List merges, the newest first: those that can be undone, or all.', [
    'hitotsu merges list',
    'hitotsu merges list --all --json',
  ])
    .option('--all', 'also those that were undone, or can be undone no more')
    .action((options: ListOptions) => list(options, surroundings))
  const one = (name: string, description: string, examples: string[]) =>
    addCommand(merges, name, description, examples).argument('<id>', 'the merge')
  one('show', 'Show one merge: what came with it, and what undoing it would do now.', [
    'hitotsu merges show 0198a1b2-1111-7222-8333-444455556666',
  ]).action((id: string, options: Json) => show(id, options, surroundings))
  const as = ['--as <name>', 'the operator who does this, by the name others know them by', toName] as const
  one('undo', `Ask for a merge to be undone. Another operator approves it within ${approvalHours} hours.`, [
    'hitotsu merges undo 0198a1b2-1111-7222-8333-444455556666 --as suzuki --reason not-the-same-person',
  ])
    .requiredOption(...as)
    .requiredOption(
      '--reason <word>',
      'for the audit trail: letters, digits and hyphens, nothing personal',
      toReason,
    )
    .action((id: string, options: UndoOptions) => undo(id, options, surroundings))
  one('approve', 'Undo a merge that another operator has asked to be undone. Both members sign in anew.', [
    'hitotsu merges approve 0198a1b2-1111-7222-8333-444455556666 --as tanaka',
  ])
    .requiredOption(...as)
    .action((id: string, options: ApproveOptions) => approve(id, options, surroundings))
}

interface ListOptions extends Json {
  all?: boolean
}
interface ApproveOptions extends Json {
  as: string
}
interface UndoOptions extends ApproveOptions {
  reason: string
}

function toReason(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/.test(text)) return text
  throw new InvalidArgumentError('Give one word of letters, digits and hyphens, of at most 40 characters.')
}

function toName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$/.test(text)) return text
  throw new InvalidArgumentError(
    'Give a name of letters, digits, dots and hyphens, of at most 80 characters.',
  )
}

/** In which a merge is at a moment. */
function stateOf(merge: Merge, now: Date): 'undone' | 'waits_for_approval' | 'undoable' | 'final' {
  if (merge.undoneAt) return 'undone'
  if (merge.undoUntil <= now) return 'final'
  return isWaiting(merge, now) ? 'waits_for_approval' : 'undoable'
}

function viewOf(merge: Merge, now: Date) {
  const { id, survivorId, absorbedId, decidedBy, reason, mergedAt, undoUntil, undoneAt, undoneBy } = merge
  const state = stateOf(merge, now)
  const requestedBy = state === 'waits_for_approval' ? merge.undoRequestedBy : null
  return {
    ...{ id, state, survivorId, absorbedId, decidedBy, reason, mergedAt, undoUntil },
    ...{ requestedBy, undoneAt, undoneBy },
  }
}

function list({ json, all }: ListOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const rows = await db.merge.findMany({
      where: all ? {} : { undoneAt: null, undoUntil: { gt: now } },
      orderBy: { id: 'desc' },
    })
    const views = rows.map((row) => viewOf(row, now))
    const cells = views.map((view) => [
      ...[view.id, view.state, view.survivorId, view.absorbedId],
      ...[view.decidedBy, moment(view.mergedAt)],
    ])
    const headings = ['id', 'state', 'survivor', 'absorbed', 'decided by', 'merged']
    print(json, views, table(headings, cells, all ? 'There are no merges.' : 'There are no merges to undo.'))
  })
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const view = viewOf(await known(db, id), now)
    const plan = planUndo(await gatherUndoFacts(db, id), now)
    const undoing =
      plan.action === 'refuse'
        ? { possible: false, reason: plan.reason }
        : { possible: true, rowsBack: plan.writes.length, rowsKept: plan.kept.map(({ table: of }) => of) }
    const journal = await db.mergeJournal.groupBy({ by: ['table'], where: { mergeId: id }, _count: true })
    const touched = Object.fromEntries(journal.map((row) => [row.table, row._count]))
    const text = details([
      ['id', view.id],
      ['state', view.state],
      ['survivor', view.survivorId],
      ['absorbed', view.absorbedId],
      ['decided by', view.reason ? `${view.decidedBy} (${view.reason})` : view.decidedBy],
      ['merged', moment(view.mergedAt)],
      ['undoable until', moment(view.undoUntil)],
      ['asked for by', view.requestedBy ?? undefined],
      ['undone', view.undoneAt ? `${moment(view.undoneAt)} by ${view.undoneBy}` : undefined],
      ['rows it touched', Object.entries(touched).map(([name, count]) => `${name}: ${count}`)],
      ['undoing now', plan.action === 'refuse' ? words[plan.reason] : keptText(plan.kept.length)],
    ])
    print(json, { ...view, touched, undoing }, text)
  })
}

const keptText = (kept: number) =>
  kept === 0 ? 'brings everything back' : `leaves ${kept} row(s) that were changed since with the survivor`

function undo(id: string, { json, as: by, reason }: UndoOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    await known(db, id)
    const merge = await told(() =>
      inTransaction(db, (tx) => requestUndo(tx, { mergeId: id, by, reason }, now)),
    )
    const text = `Another operator has to approve this within ${approvalHours} hours: hitotsu merges approve ${id} --as <name>`
    print(json, viewOf(merge, now), text)
  })
}

function approve(id: string, { json, as: by }: ApproveOptions, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const { absorbedId } = await known(db, id)
    const { kept } = await told(() => inTransaction(db, (tx) => approveUndo(tx, { mergeId: id, by }, now)))
    const view = viewOf(await known(db, id), now)
    const text = `The member ${absorbedId} is a member of their own again; this ${keptText(kept.length)}. Both sign in anew.`
    print(json, { ...view, rowsKept: kept.map(({ table: of }) => of) }, text)
  })
}

/** What an operator is told of a refusal. */
const words: Record<string, string> = {
  not_found: 'there is no such merge',
  undone: 'it was undone before',
  over: 'the time in which it could be undone is over',
  survivor_gone: 'the survivor is deleted, or part of another member: undo that merge first',
  survivor_without_sign_in: 'the survivor would be left without a way to sign in',
  absorbed_without_sign_in:
    'the absorbed member would be left without a way to sign in: what they signed in with was unlinked since',
  not_requested: 'nobody has asked for it within the last day: hitotsu merges undo',
  same_operator: 'who asked for it cannot approve it: it takes another operator',
  requested_by_another: 'another operator has asked for it: approve that',
}

async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'merge_undo_refused') throw error
    throw new Refusal(`the merge is not undone: ${words[String(error.cause)] ?? error.cause}`)
  }
}

async function known(db: Db, id: string): Promise<Merge> {
  const merge = isRowId(id) ? await db.merge.findUnique({ where: { id } }) : null
  if (!merge) throw new Refusal(`there is no merge ${plain(id)}`)
  return merge
}
