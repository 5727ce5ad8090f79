import type { Way } from '../way.ts'
import type { CampaignState } from './campaign.ts'

/** What is known when a link is made, or about to be. */
export interface RewardFacts {
  /** Of the connection's campaign whose time it is; undefined when there is none. */
  campaign: CampaignState | undefined
  way: Way
  /** Whether the member, or one they have absorbed, has agreed to a link of this connection before. */
  memberLinkedBefore: boolean
  /** Whether this upstream account has been linked before, to whomever. False while it is not known. */
  identityLinkedBefore: boolean
  /** Whether this campaign has rewarded the member, one they have absorbed, or this account. */
  rewardedBefore: boolean
}

export type RewardRefusal = 'no_campaign' | 'exhausted' | 'not_by_member' | 'linked_before'

export type RewardDecision = { action: 'grant' } | { action: 'withhold'; because: RewardRefusal }

/** Ways in which somebody else than the member acts. */
const othersWays: readonly Way[] = ['management', 'import']

/**
 * Whether a link earns the reward, and so whether one may be promised. It is for the first link of a member and of an
 * account: unlinking and linking again, a second account, another member or a merge earn nothing twice, also in a
 * campaign that began later.
 */
export function decideReward(facts: RewardFacts): RewardDecision {
  if (facts.campaign !== 'running' && facts.campaign !== 'exhausted') return withhold('no_campaign')
  if (othersWays.includes(facts.way)) return withhold('not_by_member')
  if (facts.memberLinkedBefore || facts.identityLinkedBefore || facts.rewardedBefore)
    return withhold('linked_before')
  return facts.campaign === 'exhausted' ? withhold('exhausted') : { action: 'grant' }
}

const withhold = (because: RewardRefusal): RewardDecision => ({ action: 'withhold', because })
