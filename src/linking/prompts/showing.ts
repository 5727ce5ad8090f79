import { recordEvent } from '../../events/outbox.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import { currentCampaign } from '../campaigns/campaign.ts'
import { findOffered } from '../campaigns/offer.ts'
import { trailOf } from '../way.ts'
import { weightOf } from './decide.ts'

/** What is shown, and at whose wish. */
export interface Prompt {
  connectionId: string
  clientId: string
}

/**
 * Counts a showing to a member, once for as many tabs and processes as there are. False when it must not be shown: it
 * was less than the connection's days ago, or the member has dismissed it.
 */
export async function recordShowing(
  db: Db,
  prompt: Prompt,
  { memberId, isOffer }: { memberId: string; isOffer: boolean },
  now: Date,
): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    const shown = await tx.$executeRaw`
      INSERT INTO "LinkPrompt" ("memberId", "connectionId", "shown", "lastShownAt")
      SELECT ${memberId}::uuid, c."id", 1, ${now}::timestamptz FROM "Connection" c WHERE c."id" = ${prompt.connectionId}
      ON CONFLICT ("memberId", "connectionId") DO UPDATE
        SET "shown" = "LinkPrompt"."shown" + 1, "lastShownAt" = excluded."lastShownAt"
        WHERE "LinkPrompt"."dismissedAt" IS NULL AND "LinkPrompt"."lastShownAt" <= ${now}::timestamptz - make_interval(days => (
          SELECT "promptEveryDays" FROM "Connection" WHERE "id" = ${prompt.connectionId}))`
    if (shown === 0) return false
    // That there is nothing to link was shown, and will not be so soon again; it is no step towards a link.
    if (!isOffer) return true
    const campaignId = await findOffered(tx, { ...prompt, way: 'prompt', memberId }, now)
    const data = trailOf({ ...prompt, way: 'prompt', ...(campaignId && { campaignId }) })
    await recordEvent(tx, { type: 'link.prompted', memberId, data }, now)
    return true
  })
}

/** The member is not asked again, by nobody and in no browser. */
export async function dismiss(tx: Tx, memberId: string, connectionId: string, now: Date): Promise<void> {
  await tx.linkPrompt.upsert({
    where: { memberId_connectionId: { memberId, connectionId } },
    create: { memberId, connectionId, lastShownAt: now, dismissedAt: now },
    update: { dismissedAt: now },
  })
}

export interface PromptHistory {
  isDismissed: boolean
  isCapped: boolean
}

export async function promptHistory(
  tx: Tx,
  memberId: string,
  { id: connectionId, promptEveryDays }: { id: string; promptEveryDays: number },
  now: Date,
): Promise<PromptHistory> {
  const row = await tx.linkPrompt.findUnique({
    where: { memberId_connectionId: { memberId, connectionId } },
  })
  const again = row ? row.lastShownAt.getTime() + promptEveryDays * 86_400_000 : 0
  return { isDismissed: row !== null && row.dismissedAt !== null, isCapped: again > now.getTime() }
}

const windowSeconds = 3600
/** What one source may add to the count. */
const strangers: Budget = { name: 'link-prompt-shown', limit: 20, windowSeconds }

/**
 * Counts a showing to somebody unknown. Anybody can say that there was one, so a source counts a few times an hour, and
 * the table grows by some hundred rows an hour and client at most, whatever comes (`weightOf`).
 */
export async function countShowing(
  { db, store }: { db: Db; store: Ephemeral },
  { connectionId, clientId }: Prompt,
  source: string,
  now: Date,
): Promise<void> {
  const mayCount = await spend(store, strangers, source).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Problem) return false
      throw error
    },
  )
  if (!mayCount) return
  const { count } = await store.increment(`link-prompts:${connectionId}:${clientId}`, windowSeconds)
  const shown = weightOf(count)
  if (shown === 0) return
  const campaign = await currentCampaign(db, connectionId, now)
  const trail = trailOf({
    connectionId,
    clientId,
    way: 'prompt',
    ...(campaign && { campaignId: campaign.id }),
  })
  await recordEvent(db, { type: 'link.prompted', data: { ...trail, ...(shown > 1 && { shown }) } }, now)
}
