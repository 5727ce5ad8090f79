import type { Db } from '../../store/db.ts'
import type { LinkConflict } from '../../store/generated/client.ts'

/** What operators look through: `raised` by a member and open, every `open` one, or `all`. */
export type QueueScope = 'raised' | 'open' | 'all'

/** Whoever has waited longest first. */
export function listConflicts(db: Db, scope: QueueScope, take: number): Promise<LinkConflict[]> {
  return db.linkConflict.findMany({
    where: { ...(scope !== 'all' && { open: true }), ...(scope === 'raised' && { raisedAt: { not: null } }) },
    orderBy:
      scope === 'all'
        ? [{ foundAt: 'desc' }]
        : [{ raisedAt: { sort: 'asc', nulls: 'last' } }, { foundAt: 'asc' }],
    take,
  })
}

/** One conflict and what is known around it: where the account is now, who had it, and what the two have decided before. */
export async function findConflict(db: Db, id: string) {
  const conflict = await db.linkConflict.findUnique({ where: { id } })
  if (!conflict) return undefined
  const { issuer, subject, ownerId, claimantId } = conflict
  const two = { in: [ownerId, claimantId] }
  const [account, agreements, earlier, merges] = await Promise.all([
    db.federatedIdentity.findUnique({ where: { issuer_subject: { issuer, subject } } }),
    db.linkConsent.findMany({
      where: { issuer, subject },
      select: { memberId: true, way: true, agreedAt: true, endedAt: true },
      orderBy: { agreedAt: 'asc' },
    }),
    db.linkConflict.findMany({
      where: {
        id: { not: id },
        OR: [
          { issuer, subject },
          { ownerId: two, claimantId: two },
        ],
      },
      orderBy: { foundAt: 'asc' },
    }),
    db.merge.findMany({
      where: { OR: [{ survivorId: two }, { absorbedId: two }] },
      orderBy: { mergedAt: 'asc' },
    }),
  ])
  return { conflict, heldBy: account?.memberId ?? null, agreements, earlier, merges }
}
