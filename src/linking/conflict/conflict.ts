import { recordEvent } from '../../events/outbox.ts'
import { lockMembers } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { LinkConflict, LinkConflictOutcome } from '../../store/generated/client.ts'
import type { FederatedIdentifier } from '../identity.ts'
import { type LinkTrail, trailOf } from '../way.ts'

/** An account, who holds it, and who claims it. */
export interface Contest extends FederatedIdentifier {
  connectionId: string
  ownerId: string
  claimantId: string
}

export function findOpenConflict(tx: Tx, contest: Contest): Promise<LinkConflict | null> {
  const { issuer, subject, ownerId, claimantId } = contest
  return tx.linkConflict.findFirst({ where: { issuer, subject, ownerId, claimantId, open: true } })
}

/** The open conflict between these two about this account. Found once, however often its page is looked at. */
export async function openConflict(
  db: Db,
  { connectionId, issuer, subject, ownerId, claimantId }: Contest,
  trail: LinkTrail,
  now: Date,
): Promise<LinkConflict> {
  const contest = { connectionId, issuer, subject, ownerId, claimantId }
  const known = await findOpenConflict(db, contest)
  if (known) return known
  return inTransaction(db, async (tx) => {
    await lockMembers(tx, [ownerId, claimantId])
    const open = await findOpenConflict(tx, contest)
    if (open) return open
    const found = await tx.linkConflict.create({ data: { ...contest, way: trail.way, foundAt: now } })
    const data = { ...trailOf(trail), conflictId: found.id }
    await recordEvent(tx, { type: 'link.conflict_found', memberId: claimantId, data }, now)
    return found
  })
}

export interface Decision {
  outcome: LinkConflictOutcome
  /** `member`, or the operator's name. */
  by: string
  note?: string
}

/**
 * Writes down how it ended, in the transaction that does what was decided. Of all who decide at once, members in any
 * number of tabs and operators, one does. @throws Problem conflict_changed when it is decided already
 */
export async function closeConflict(
  tx: Tx,
  {
    id,
    connectionId,
    ownerId,
    claimantId,
  }: Pick<LinkConflict, 'id' | 'connectionId' | 'ownerId' | 'claimantId'>,
  { outcome, by, note }: Decision,
  now: Date,
): Promise<void> {
  const { count } = await tx.linkConflict.updateMany({
    where: { id, open: true },
    data: { open: null, outcome, decidedAt: now, decidedBy: by, note: note ?? null },
  })
  if (count === 0) throw new Problem('conflict_changed')
  const data = { connectionId, conflictId: id, outcome, by }
  // A claim in which there was nothing to decide is no matter of the owner's.
  for (const memberId of outcome === 'dismissed' ? [claimantId] : [claimantId, ownerId])
    await recordEvent(tx, { type: 'link.conflict_decided', memberId, data }, now)
}

/** Asks an operator to look at it. Asked again, it keeps its place in the queue. False when it was there, or is decided. */
export async function raiseConflict(
  db: Db,
  { id, connectionId, claimantId }: Pick<LinkConflict, 'id' | 'connectionId' | 'claimantId'>,
  now: Date,
): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    const { count } = await tx.linkConflict.updateMany({
      where: { id, open: true, raisedAt: null },
      data: { raisedAt: now },
    })
    if (count === 0) return false
    const data = { connectionId, conflictId: id }
    await recordEvent(tx, { type: 'link.conflict_raised', memberId: claimantId, data }, now)
    return true
  })
}
