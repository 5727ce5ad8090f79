import { z } from 'zod'
import { type Locale, localizedName } from '../../http/i18n.ts'
import type { Tx } from '../../store/db.ts'
import type { Campaign } from './campaign.ts'
import type { RewardRefusal } from './decide.ts'
import { judgeReward, listRewards, type RewardableLink } from './reward.ts'

/** A promise, as pages make it. */
export interface Offer {
  campaignId: string
  name: string
  reward: string
  until: Date
}

/** What a link may be promised now: exactly what would be granted, or nothing. */
export async function findOffer(
  tx: Tx,
  link: RewardableLink,
  locale: Locale,
  now: Date,
): Promise<Offer | undefined> {
  const { campaign, decision } = await judgeReward(tx, link, now)
  return campaign && decision.action === 'grant' ? present(campaign, locale) : undefined
}

/** What this member may be promised for each of the connections, by id; one query after the other. */
export async function findOffers(
  tx: Tx,
  memberId: string,
  connectionIds: readonly string[],
  locale: Locale,
  now: Date,
): Promise<Record<string, Offer>> {
  const offers: Record<string, Offer> = {}
  for (const connectionId of connectionIds) {
    const offer = await findOffer(tx, { connectionId, way: 'account_page', memberId }, locale, now)
    if (offer) offers[connectionId] = offer
  }
  return offers
}

/** The campaign a link in progress is counted under from now on. */
export async function findOffered(tx: Tx, link: RewardableLink, now: Date): Promise<string | undefined> {
  return (await findOffer(tx, link, 'en', now))?.campaignId
}

/** What the page that asks for the agreement says of the reward: the offer, or why there is none any more. */
export type OfferNews = { offer: Offer } | { missed: RewardRefusal } | undefined

/** `promised`: the campaign under which the link began, when it was told. */
export async function offerBeforeAgreement(
  tx: Tx,
  link: RewardableLink,
  promised: string | undefined,
  locale: Locale,
  now: Date,
): Promise<OfferNews> {
  const { campaign, decision } = await judgeReward(tx, link, now)
  if (campaign && decision.action === 'grant') return { offer: present(campaign, locale) }
  return promised !== undefined && decision.action === 'withhold' ? { missed: decision.because } : undefined
}

export interface RewardNews {
  outcome: 'earned' | 'missed'
  reward: string
}

const linkedUnder = z.object({ consentId: z.string(), campaignId: z.string() })

/**
 * What came of the reward when this member linked an account of the connection the last time: earned, promised and not
 * given, or nothing to say.
 */
export async function rewardNews(
  tx: Tx,
  memberId: string,
  connectionId: string,
  locale: Locale,
): Promise<RewardNews | undefined> {
  const event = await tx.event.findFirst({
    where: { memberId, type: 'identity.linked', data: { path: ['connectionId'], equals: connectionId } },
    orderBy: { position: 'desc' },
  })
  const linked = linkedUnder.partial({ campaignId: true }).safeParse(event?.data)
  if (!linked.success) return undefined
  const { consentId, campaignId } = linked.data
  const reward = await tx.reward.findFirst({ where: { memberId, consentId }, include: { campaign: true } })
  if (reward) return { outcome: 'earned', reward: labelOf(reward.campaign, locale) }
  const campaign = campaignId && (await tx.campaign.findUnique({ where: { id: campaignId } }))
  return campaign ? { outcome: 'missed', reward: labelOf(campaign, locale) } : undefined
}

/** The rewards of a member as their page lists them. */
export async function presentRewards(tx: Tx, memberId: string, locale: Locale) {
  return (await listRewards(tx, memberId)).map(({ id, grantedAt, campaign }) => ({
    id,
    grantedAt,
    name: localizedName.parse(campaign.name)[locale],
    reward: labelOf(campaign, locale),
  }))
}

const labelOf = ({ rewardLabel }: { rewardLabel: unknown }, locale: Locale) =>
  localizedName.parse(rewardLabel)[locale]

function present({ id, name, rewardLabel, endsAt }: Campaign, locale: Locale): Offer {
  return { campaignId: id, name: name[locale], reward: rewardLabel[locale], until: endsAt }
}
