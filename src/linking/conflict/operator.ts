import { findConnection, holdUsableConnection } from '../../connections/connection.ts'
import { toLocale } from '../../http/i18n.ts'
import { lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import type { Random } from '../../security/random.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { LinkConflict } from '../../store/generated/client.ts'
import { findIdentity, profileOf } from '../identity.ts'
import { consentText } from '../link-consent.ts'
import { applyMerge } from '../merge/apply.ts'
import { isLastSignInMethod } from '../unlink/unlink.ts'
import { ways } from '../way.ts'
import { moveOf } from './choices.ts'
import { closeConflict } from './conflict.ts'
import { applyMove } from './move.ts'
import { type Survivor, sidesOf } from './preview.ts'
import { hasIdentityOf } from './situation.ts'

export type OperatorDecision =
  | { outcome: 'kept' | 'moved' | 'dismissed' }
  | { outcome: 'merged'; survivor: Survivor }

/** Who decided, and why: kept with the conflict, for operators alone. */
export interface OperatorVerdict {
  conflictId: string
  decision: OperatorDecision
  operator: string
  note: string
}

export type VerdictRefusal =
  | 'not_found'
  | 'decided_already'
  | 'member_unavailable'
  | 'owner_holds_it_no_more'
  | 'owners_last_way'
  | 'another_identity_linked'

export interface OperatorDeps {
  db: Db
  termsVersion: string
  mergeUndoDays: number
  random: Random
}

/**
 * Carries out what an operator decided, in one transaction that holds both members. An operator stands in for the proof
 * of both sides and for nothing else: what would leave a member without a way to sign in stays refused.
 * @throws Problem connection_unavailable, merge_refused
 */
export async function decideByOperator(
  deps: OperatorDeps,
  { conflictId, decision, operator, note }: OperatorVerdict,
  now: Date,
): Promise<VerdictRefusal | undefined> {
  return inTransaction(deps.db, async (tx) => {
    const found = await tx.linkConflict.findUnique({ where: { id: conflictId } })
    if (!found) return 'not_found'
    if (decision.outcome === 'moved') await holdUsableConnection(tx, found.connectionId)
    const held = await lockMembers(tx, [found.ownerId, found.claimantId])
    // A merge of either gives the conflict to who goes on.
    const conflict = await tx.linkConflict.findUniqueOrThrow({ where: { id: conflictId } })
    const { ownerId, claimantId } = conflict
    if (!conflict.open || ownerId !== found.ownerId || claimantId !== found.claimantId)
      return 'decided_already'
    const areActive = [ownerId, claimantId].map((id) => held.get(id)?.status === 'active')
    const refusal = await actOn(tx, deps, { conflict, decision, operator, note, areActive }, now)
    if (refusal) return refusal
    await closeConflict(tx, conflict, { outcome: decision.outcome, by: operator, note }, now)
    return undefined
  })
}

interface Act extends Omit<OperatorVerdict, 'conflictId'> {
  conflict: LinkConflict
  /** The owner, the claimant. */
  areActive: boolean[]
}

async function actOn(
  tx: Tx,
  deps: OperatorDeps,
  { conflict, decision, operator, note, areActive: [owner, claimant] }: Act,
  now: Date,
): Promise<VerdictRefusal | undefined> {
  // A suspended owner may have to give back what is another's.
  if (decision.outcome === 'moved') return claimant ? move(tx, deps, conflict, now) : 'member_unavailable'
  if (decision.outcome !== 'merged') return undefined
  if (!owner || !claimant) return 'member_unavailable'
  const { mergeUndoDays: undoDays, random } = deps
  const request = { decidedBy: operator, reason: note, undoDays, random }
  await applyMerge(tx, { ...sidesOf(conflict, decision.survivor), ...request }, now)
  return undefined
}

/**
 * Moves the account on the operator's word, whom the evidence names by the conflict: it is shown to the claimant, and the
 * note, which may be about the owner, is not. No upstream token goes along.
 */
async function move(
  tx: Tx,
  { termsVersion }: OperatorDeps,
  conflict: LinkConflict,
  now: Date,
): Promise<VerdictRefusal | undefined> {
  const { id: conflictId, ownerId, claimantId, connectionId } = conflict
  const linked = await findIdentity(tx, conflict)
  if (linked?.memberId !== ownerId) return 'owner_holds_it_no_more'
  const isLast = await isLastSignInMethod(tx, ownerId, linked.id)
  const choice = moveOf(isLast, await hasIdentityOf(tx, claimantId, connectionId))
  if (choice === 'owner_not_proved') throw new Error('an operator stands in for the proof')
  if (choice !== 'offered') return choice
  const connection = await findConnection(tx, connectionId)
  if (!connection) throw new Problem('connection_unavailable')
  const claimant = await tx.member.findUniqueOrThrow({ where: { id: claimantId } })
  const locale = toLocale(claimant.locale ?? undefined) ?? 'ja'
  const { issuer, subject } = linked
  const profile = profileOf(linked.profile)
  const identity = { connectionId, issuer, subject, profile, emailVerified: false }
  const consent = await consentText(tx, { connection, identity, termsVersion, locale }, now)
  const way = ways.find((known) => known === conflict.way) ?? 'management'
  const place = { statement: `Moved by an operator: conflict ${conflictId}` }
  const agreed = { contest: conflict, conflictId, identity, consent, place }
  await applyMove(tx, { ...agreed, trail: { connectionId, way } }, now)
  return undefined
}
