import { findKnowers, type Knower, type Lineage, readLineage } from '../../oidc/lineage.ts'
import type { Tx } from '../../store/db.ts'

/** A member with everything a merge could move. */
export type MergeSide = NonNullable<Awaited<ReturnType<typeof findSide>>>

export interface MergeFacts {
  /** Undefined: there is no such member. */
  survivor: MergeSide | undefined
  absorbed: MergeSide | undefined
  /** Each with those absorbed before, as `namesIn` takes it. */
  survivorLineage: Lineage
  absorbedLineage: Lineage
  /** Clients that know anybody of either lineage. */
  knowers: Knower[]
}

export interface MergePair {
  survivorId: string
  absorbedId: string
}

/** Collects what `planMerge` needs, one query after the other: a transaction has one connection. */
export async function gatherMergeFacts(
  tx: Tx,
  { survivorId, absorbedId }: MergePair,
  now: Date,
): Promise<MergeFacts> {
  const survivor = await findSide(tx, survivorId, now)
  const absorbed = await findSide(tx, absorbedId, now)
  const survivorLineage = await readLineage(tx, survivorId)
  const absorbedLineage = await readLineage(tx, absorbedId)
  const knowers = await findKnowers(tx, [...survivorLineage, ...absorbedLineage])
  return { survivor, absorbed, survivorLineage, absorbedLineage, knowers }
}

async function findSide(tx: Tx, id: string, now: Date) {
  const member = await tx.member.findUnique({ where: { id } })
  if (!member) return undefined
  const where = { memberId: id }
  return {
    ...member,
    contactPoints: await tx.contactPoint.findMany({
      where,
      orderBy: [{ isPrimary: 'desc' }, { verifiedAt: 'asc' }],
    }),
    // Never the hash: nothing that is planned, shown or journaled needs it.
    password: await tx.passwordCredential.findUnique({ where, select: { changedAt: true } }),
    identities: await tx.federatedIdentity.findMany({ where, orderBy: { linkedAt: 'asc' } }),
    formerIdentities: await tx.formerIdentity.findMany({ where, orderBy: { unlinkedAt: 'asc' } }),
    linkConsents: await tx.linkConsent.findMany({
      where,
      select: { id: true },
      orderBy: { agreedAt: 'asc' },
    }),
    conflictsOwned: await tx.linkConflict.findMany({ where: { ownerId: id, outcome: null } }),
    conflictsClaimed: await tx.linkConflict.findMany({ where: { claimantId: id, outcome: null } }),
    rewards: await tx.reward.findMany({ where, orderBy: { grantedAt: 'asc' } }),
    prompts: await tx.linkPrompt.findMany({ where, orderBy: { connectionId: 'asc' } }),
    // One that has run out gives nothing, and nothing is made of it.
    grants: await tx.grant.findMany({
      where: { ...where, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] },
      orderBy: { createdAt: 'desc' },
    }),
  }
}
