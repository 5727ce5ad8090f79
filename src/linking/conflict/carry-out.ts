import { holdUsableConnection } from '../../connections/connection.ts'
import type { Locale } from '../../http/i18n.ts'
import { lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { LinkConflict } from '../../store/generated/client.ts'
import type { ConsentPlace } from '../link-consent.ts'
import { applyMerge } from '../merge/apply.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import type { LinkTransaction, Transactions } from '../transaction.ts'
import { closeConflict, findOpenConflict } from './conflict.ts'
import { applyMove } from './move.ts'
import { previewMerge, previewMove, type Survivor, sidesOf } from './preview.ts'
import { findSituation, type Situation } from './situation.ts'

export interface CarryOutDeps {
  db: Db
  vault: TokenVault
  transactions: Transactions
  recentSeconds: number
  /** Of the service's terms, for a connection without its own. */
  termsVersion: string
  mergeUndoDays: number
  random: Random
}

/** What a claimant has pressed the button for. */
export interface Chosen {
  transaction: LinkTransaction
  claimantId: string
  /** The digest of what was on the page. */
  shown: string
  locale: Locale
  place: ConsentPlace
}

/** Gives the account to the claimant. @throws Problem as `carryOut` */
export async function moveToClaimant(deps: CarryOutDeps, chosen: Chosen, now: Date): Promise<void> {
  const { transaction, place, shown } = chosen
  const tokens = deps.transactions.openTokens(transaction)
  await carryOut(deps, chosen, 'move', now, async (tx, situation, { id: conflictId }) => {
    const { consent, digest } = await previewMove(tx, situation, { ...deps, ...chosen }, now)
    if (!equalInConstantTime(shown, digest)) throw new Problem('conflict_changed')
    const { contest, identity } = situation
    const fresh = tokens && { vault: deps.vault, tokens }
    await applyMove(tx, { contest, conflictId, identity, fresh, consent, place, trail: transaction }, now)
  })
}

/** Makes one of the two members, in which the survivor goes on. @throws Problem as `carryOut` */
export async function mergeMembers(
  deps: CarryOutDeps,
  chosen: Chosen & { survivor: Survivor },
  now: Date,
): Promise<void> {
  await carryOut(deps, chosen, 'merge', now, async (tx, situation) => {
    const preview = await previewMerge(tx, situation, chosen, now)
    if (!preview || !equalInConstantTime(chosen.shown, preview.digest)) throw new Problem('conflict_changed')
    const pair = sidesOf(situation.contest, chosen.survivor)
    const { mergeUndoDays: undoDays, random } = deps
    await applyMerge(tx, { ...pair, decidedBy: 'member', undoDays, random }, now)
  })
}

const outcomes = { move: 'moved', merge: 'merged' } as const

/**
 * Does what a claimant chose and writes down that it is decided, in one transaction that holds the connection and both
 * members, and reads everything again: the proof of both sides, what may be chosen, and what was shown.
 * @throws Problem conflict_changed when it is not as it was shown, connection_unavailable, account_unavailable,
 * merge_refused
 */
async function carryOut(
  deps: CarryOutDeps,
  chosen: Chosen,
  choice: 'move' | 'merge',
  now: Date,
  act: (tx: Tx, situation: Situation, conflict: LinkConflict) => Promise<void>,
): Promise<void> {
  await inTransaction(deps.db, async (tx) => {
    const situation = await holdSituation(tx, deps, chosen, now)
    const conflict = await findOpenConflict(tx, situation.contest)
    if (!conflict || situation.choices[choice] !== 'offered') throw new Problem('conflict_changed')
    await act(tx, situation, conflict)
    await closeConflict(tx, conflict, { outcome: outcomes[choice], by: 'member' }, now)
  })
}

/** Holds the connection, then both members, and reads how things stand now that nobody can change it. */
async function holdSituation(
  tx: Tx,
  { recentSeconds }: Pick<CarryOutDeps, 'recentSeconds'>,
  { transaction, claimantId }: Chosen,
  now: Date,
): Promise<Situation> {
  await holdUsableConnection(tx, transaction.connectionId)
  const seen = await findSituation(tx, transaction, claimantId, recentSeconds, now)
  if (!seen) throw new Problem('conflict_changed')
  const { ownerId } = seen.contest
  const held = await lockMembers(tx, [ownerId, claimantId])
  if (held.get(claimantId)?.status !== 'active') throw new Problem('account_unavailable')
  const situation = await findSituation(tx, transaction, claimantId, recentSeconds, now)
  // Who held it first may not be who holds it now.
  if (situation?.contest.ownerId !== ownerId) throw new Problem('conflict_changed')
  return situation
}
