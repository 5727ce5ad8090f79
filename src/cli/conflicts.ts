import { type Command, InvalidArgumentError } from 'commander'
import { z } from 'zod'
import { decideByOperator, type OperatorDecision, type VerdictRefusal } from '../linking/conflict/operator.ts'
import { listConflicts } from '../linking/conflict/queue.ts'
import { Problem } from '../problem.ts'
import { systemRandom } from '../security/random.ts'
import { isRowId } from '../store/row-id.ts'
import { addCommand, type Json } from './command.ts'
import { conflictParts, findConflictView } from './conflict-view.ts'
import { type Surroundings, withContext } from './context.ts'
import { details, moment, plain, print, table } from './output.ts'
import { Refusal, wrongUsage } from './refusal.ts'

/** As many as one look can take in; those that wait longest come first. */
const listed = 500

export function addConflicts(program: Command, surroundings: Surroundings): void {
  const conflicts = program
    .command('conflicts')
    .description('Upstream accounts that a member claims and another member holds.')
  addCommand(conflicts, 'list', 'List those that members have asked to look at, the oldest first.', [
    'hitotsu conflicts list',
    'hitotsu conflicts list --open',
    "hitotsu conflicts list --json | jq -r '.[].id'",
  ])
    .option('--open', 'also those nobody has asked about')
    .option('--all', 'also those that are decided, the newest first')
    .action((options: ListOptions) => list(options, surroundings))
  addCommand(conflicts, 'show', 'Show one: both members, what they have in common, and its history.', [
    'hitotsu conflicts show 0198c1d2-...',
  ])
    .argument('<conflict>', 'its id: what the member calls the reference')
    .action((id: string, options: Json) => show(id, options, surroundings))
  addDecide(conflicts, surroundings)
}

function addDecide(conflicts: Command, surroundings: Surroundings): void {
  addCommand(
    conflicts,
    'decide',
    'Decide one, in place of the proof that a member could not give. Both members are told by mail.',
    [
      'hitotsu conflicts decide 0198c1d2-... --keep --as sato --note "the caller could not name the old address"',
      'hitotsu conflicts decide 0198c1d2-... --move --as sato --note "receipts of both seen, ticket 512"',
      'hitotsu conflicts decide 0198c1d2-... --merge --survivor owner --as sato --note "one person, ticket 512"',
    ],
  )
    .argument('<conflict>', 'its id')
    .option('--keep', 'the account stays with the member who holds it')
    .option('--move', 'the account goes to the member who claims it; never the last way in of the other')
    .option('--merge', 'the two members become one; can be undone for MERGE_UNDO_DAYS')
    .option('--survivor <side>', 'who goes on in a merge: claimant or owner (default: claimant)')
    .option('--dismiss', 'there is nothing to decide; only the member who claims it is told')
    .requiredOption('--as <operator>', 'who decides: letters, digits, dots, hyphens, @', toOperator)
    .requiredOption('--note <words>', 'why: kept with the conflict, shown to no member')
    .action((id: string, options: DecideOptions) => decide(id, options, surroundings))
}

interface ListOptions extends Json {
  open?: boolean
  all?: boolean
}

interface DecideOptions extends Json {
  keep?: boolean
  move?: boolean
  merge?: boolean
  dismiss?: boolean
  survivor?: string
  as: string
  note: string
}

/** `member` stands for members themselves wherever it is written who decided. */
function toOperator(text: string): string {
  if (/^[A-Za-z0-9][\w.@-]{0,59}$/.test(text) && text !== 'member') return text
  throw new InvalidArgumentError(
    'Give a name of letters, digits, dots, hyphens and @, of at most 60 characters.',
  )
}

function list({ json, open, all }: ListOptions, surroundings: Surroundings): Promise<void> {
  const scope = all ? 'all' : open ? 'open' : 'raised'
  return withContext(surroundings, async ({ db }) => {
    const found = await listConflicts(db, scope, listed)
    const rows = found.map(
      ({ id, connectionId, subject, ownerId, claimantId, foundAt, raisedAt, outcome }) => [
        ...[id, connectionId, subject, ownerId, claimantId, moment(foundAt)],
        ...[raisedAt ? moment(raisedAt) : 'no', outcome ?? 'open'],
      ],
    )
    const headings = ['id', 'connection', 'subject', 'held by', 'claimed by', 'found', 'asked for', 'state']
    const value = found.map(({ open: _, ...conflict }) => conflict)
    print(json, value, table(headings, rows, 'Nobody waits for a decision.'))
  })
}

function show(id: string, { json }: Json, surroundings: Surroundings): Promise<void> {
  return withContext(surroundings, async ({ db, now }) => {
    const view = isRowId(id) ? await findConflictView(db, id, now) : undefined
    if (!view) throw new Refusal(`there is no conflict ${plain(id)}`)
    print(json, view, details(conflictParts(view)))
  })
}

async function decide(id: string, options: DecideOptions, surroundings: Surroundings): Promise<void> {
  const decision = decisionOf(options)
  const note = options.note.trim()
  if (note === '' || note.length > 1000) throw wrongUsage(['--note: 1 to 1000 characters'])
  await withContext(surroundings, async ({ config, db, now }) => {
    const { TERMS_VERSION: termsVersion, MERGE_UNDO_DAYS: mergeUndoDays } = config
    const verdict = { conflictId: id, decision, operator: options.as, note }
    const refusal = isRowId(id)
      ? await decideByOperator({ db, termsVersion, mergeUndoDays, random: systemRandom }, verdict, now).catch(
          inWords,
        )
      : 'not_found'
    if (refusal) throw new Refusal(reasons[refusal] ?? `it cannot be done: ${refusal}`)
    const { outcome } = decision
    print(options.json, { id, outcome, decidedBy: options.as }, `Decided ${id}: ${outcome}.`)
  })
}

function decisionOf({ keep, move, merge, dismiss, survivor }: DecideOptions): OperatorDecision {
  const outcomes = [keep && 'kept', move && 'moved', merge && 'merged', dismiss && 'dismissed']
  const [outcome, ...others] = z
    .array(z.enum(['kept', 'moved', 'merged', 'dismissed']))
    .parse(outcomes.filter(Boolean))
  if (!outcome || others.length > 0) throw wrongUsage(['give one of --keep, --move, --merge, --dismiss'])
  if (outcome !== 'merged') {
    if (survivor !== undefined) throw wrongUsage(['--survivor goes with --merge'])
    return { outcome }
  }
  const side = z.enum(['claimant', 'owner']).default('claimant').safeParse(survivor)
  if (!side.success) throw wrongUsage(['--survivor: must be claimant or owner'])
  return { outcome, survivor: side.data }
}

/** What the system refuses for reasons of its own. */
function inWords(error: unknown): VerdictRefusal | 'connection_unavailable' | 'merge_refused' {
  if (error instanceof Problem && (error.code === 'connection_unavailable' || error.code === 'merge_refused'))
    return error.code
  if (error instanceof Problem && error.code === 'conflict_changed') return 'decided_already'
  throw error
}

const reasons: Record<ReturnType<typeof inWords>, string> = {
  not_found: 'there is no such conflict',
  decided_already: 'it is decided already: see `hitotsu conflicts show`',
  member_unavailable: 'a member it takes is not active: see `hitotsu conflicts show`',
  owner_holds_it_no_more: 'the account is not with that member any more: keep or dismiss it',
  owners_last_way:
    'the member who holds the account could not sign in any more without it: merge the two, or keep it',
  another_identity_linked: 'the member who claims the account has another one of this connection',
  connection_unavailable: 'the connection is disabled',
  merge_refused: 'these two cannot be merged as they are',
}
