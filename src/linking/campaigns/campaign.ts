import { z } from 'zod'
import { recordEvent } from '../../events/outbox.ts'
import { type LocalizedName, localizedName } from '../../http/i18n.ts'
import type { Tx } from '../../store/db.ts'
import type { Campaign as CampaignRow } from '../../store/generated/client.ts'

export const newCampaign = z
  .object({
    id: z
      .string()
      .regex(
        /^[a-z0-9][a-z0-9-]{1,62}$/,
        'lower-case letters, digits and hyphens, 2 to 63 characters, not beginning with a hyphen',
      ),
    connectionId: z.string(),
    name: localizedName,
    rewardLabel: localizedName,
    amount: z.int().min(1).max(1_000_000_000),
    unit: z
      .string()
      .regex(/^[A-Za-z][\w-]{0,39}$/, 'a word the paying system knows: letters, digits, hyphens'),
    startsAt: z.date(),
    endsAt: z.date(),
    /** How many rewards there are; unset, as many as come. */
    budget: z.int().min(1).max(1_000_000_000).optional(),
  })
  .refine(({ startsAt, endsAt }) => startsAt < endsAt, {
    path: ['endsAt'],
    message: 'must be after the start',
  })
export type NewCampaign = z.infer<typeof newCampaign>

export interface Campaign extends Omit<CampaignRow, 'name' | 'rewardLabel'> {
  name: LocalizedName
  rewardLabel: LocalizedName
}

export type CampaignState = 'ahead' | 'running' | 'exhausted' | 'over' | 'disabled'

export function campaignState(
  { startsAt, endsAt, budget, granted, disabledAt }: Omit<CampaignRow, 'name' | 'rewardLabel'>,
  now: Date,
): CampaignState {
  if (disabledAt) return 'disabled'
  if (now >= endsAt) return 'over'
  if (now < startsAt) return 'ahead'
  return budget !== null && granted >= budget ? 'exhausted' : 'running'
}

export type CampaignCreation =
  | { outcome: 'created'; campaign: Campaign }
  | { outcome: 'no_connection' }
  | { outcome: 'overlaps'; campaignId: string }

/**
 * Stores a campaign, unless another of the same connection runs in part of its time: a link earns one reward, and
 * members could not tell which. Rejects with a unique violation when the id is taken.
 */
export async function createCampaign(tx: Tx, input: NewCampaign, now: Date): Promise<CampaignCreation> {
  const { connectionId, startsAt, endsAt, budget, ...rest } = input
  // One after the other, so that of two that overlap the second sees the first.
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM "Connection" WHERE "id" = ${connectionId} FOR NO KEY UPDATE`
  if (held.length === 0) return { outcome: 'no_connection' }
  const other = await tx.campaign.findFirst({
    where: { connectionId, disabledAt: null, startsAt: { lt: endsAt }, endsAt: { gt: startsAt } },
  })
  if (other) return { outcome: 'overlaps', campaignId: other.id }
  const row = await tx.campaign.create({
    data: { ...rest, connectionId, startsAt, endsAt, budget: budget ?? null, createdAt: now, updatedAt: now },
  })
  await recordEvent(tx, { type: 'campaign.created', data: { campaignId: row.id, connectionId } }, now)
  return { outcome: 'created', campaign: toCampaign(row) }
}

/** Nothing is granted or promised from now on; what was granted stays. False when it was so already. */
export async function disableCampaign(tx: Tx, id: string, now: Date): Promise<boolean> {
  const [ended] = await tx.campaign.updateManyAndReturn({
    where: { id, disabledAt: null },
    data: { disabledAt: now, updatedAt: now },
    select: { connectionId: true },
  })
  if (!ended) return false
  const data = { campaignId: id, connectionId: ended.connectionId }
  await recordEvent(tx, { type: 'campaign.disabled', data }, now)
  return true
}

/** The newest first. */
export async function listCampaigns(tx: Tx): Promise<Campaign[]> {
  return (await tx.campaign.findMany({ orderBy: [{ startsAt: 'desc' }, { id: 'asc' }] })).map(toCampaign)
}

export async function findCampaign(tx: Tx, id: string): Promise<Campaign | undefined> {
  const row = await tx.campaign.findUnique({ where: { id } })
  return row ? toCampaign(row) : undefined
}

/** The campaign of a connection whose time it is, whether or not anything of its budget is left. */
export async function currentCampaign(
  tx: Tx,
  connectionId: string,
  now: Date,
): Promise<Campaign | undefined> {
  const row = await tx.campaign.findFirst({
    where: { connectionId, disabledAt: null, startsAt: { lte: now }, endsAt: { gt: now } },
  })
  return row ? toCampaign(row) : undefined
}

function toCampaign(row: CampaignRow): Campaign {
  return {
    ...row,
    name: localizedName.parse(row.name),
    rewardLabel: localizedName.parse(row.rewardLabel),
  }
}
