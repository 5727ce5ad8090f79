import { recordEvent } from '../../events/outbox.ts'
import { readLineage } from '../../oidc/lineage.ts'
import type { Tx } from '../../store/db.ts'
import type { FederatedIdentifier } from '../identity.ts'
import type { Way } from '../way.ts'
import { type Campaign, campaignState, currentCampaign } from './campaign.ts'
import { decideReward, type RewardDecision, type RewardRefusal } from './decide.ts'

/** A link that is made, or could be. */
export interface RewardableLink {
  connectionId: string
  way: Way
  /** Unset while nobody has signed in. */
  memberId?: string | undefined
  /** Unset until the upstream has vouched for it. */
  identity?: FederatedIdentifier | undefined
  /** The agreement to this very link, which is none of before. */
  consentId?: string | undefined
}

export type RewardJudgement = { campaign: Campaign | undefined; decision: RewardDecision }

/** What a link would earn now. */
export async function judgeReward(tx: Tx, link: RewardableLink, now: Date): Promise<RewardJudgement> {
  const { connectionId, way, memberId, identity, consentId } = link
  const campaign = await currentCampaign(tx, connectionId, now)
  // Most links fall into no campaign: nothing more is asked then.
  const members = campaign && memberId ? await readLineage(tx, memberId) : []
  const before = { ...(consentId && { id: { not: consentId } }) }
  const isKnown = async (where: object) => campaign !== undefined && (await hasConsent(tx, where))
  const facts = {
    campaign: campaign && campaignState(campaign, now),
    way,
    memberLinkedBefore: await isKnown({ ...before, connectionId, memberId: { in: members } }),
    identityLinkedBefore: identity !== undefined && (await isKnown({ ...before, ...keyOf(identity) })),
    rewardedBefore: campaign !== undefined && (await hasReward(tx, campaign.id, members, identity)),
  }
  return { campaign, decision: decideReward(facts) }
}

export type GrantOutcome = { granted: true; rewardId: string } | { granted: false; because: RewardRefusal }

/**
 * Grants what a link earns, in the link's own transaction. Of two links that race for one member or one account the
 * unique indexes let one through, and of those that race for the budget as many as it has; nobody's link fails for it.
 * The budget is taken last, so that links wait for each other no longer than it takes to commit.
 */
export async function grantReward(
  tx: Tx,
  link: Required<{ [K in keyof RewardableLink]: NonNullable<RewardableLink[K]> }>,
  now: Date,
): Promise<GrantOutcome> {
  const { campaign, decision } = await judgeReward(tx, link, now)
  if (decision.action === 'withhold' || !campaign)
    return { granted: false, because: decision.action === 'withhold' ? decision.because : 'no_campaign' }
  const { memberId, consentId, identity } = link
  const { id: campaignId, connectionId, amount, unit } = campaign
  const [reward] = await tx.reward.createManyAndReturn({
    data: [{ campaignId, memberId, consentId, ...keyOf(identity), grantedAt: now }],
    skipDuplicates: true,
  })
  if (!reward) return { granted: false, because: 'linked_before' }
  if (!(await takeFromBudget(tx, campaignId, now))) {
    await tx.reward.delete({ where: { id: reward.id } })
    return { granted: false, because: 'exhausted' }
  }
  const data = { rewardId: reward.id, campaignId, connectionId, amount, unit }
  await recordEvent(tx, { type: 'reward.granted', memberId, data }, now)
  return { granted: true, rewardId: reward.id }
}

/** Compare-and-set: true as often as there is budget, and not once its time is over or somebody has ended it. */
async function takeFromBudget(tx: Tx, campaignId: string, now: Date): Promise<boolean> {
  const taken = await tx.$executeRaw`
    UPDATE "Campaign" SET "granted" = "granted" + 1
    WHERE "id" = ${campaignId} AND "disabledAt" IS NULL AND "endsAt" > ${now}
      AND ("budget" IS NULL OR "granted" < "budget")`
  return taken > 0
}

/** Every reward of a member, the newest first; of those they have absorbed as well. */
export async function listRewards(tx: Tx, memberId: string) {
  return tx.reward.findMany({
    where: { memberId: { in: await readLineage(tx, memberId) } },
    include: { campaign: true },
    orderBy: { grantedAt: 'desc' },
  })
}

const keyOf = ({ issuer, subject }: FederatedIdentifier) => ({ issuer, subject })

async function hasConsent(tx: Tx, where: object): Promise<boolean> {
  return (await tx.linkConsent.findFirst({ where, select: { id: true } })) !== null
}

async function hasReward(
  tx: Tx,
  campaignId: string,
  members: readonly string[],
  identity: FederatedIdentifier | undefined,
): Promise<boolean> {
  const either = [{ memberId: { in: [...members] } }, ...(identity ? [keyOf(identity)] : [])]
  const found = await tx.reward.findFirst({ where: { campaignId, OR: either }, select: { id: true } })
  return found !== null
}
