import { recordEvents } from '../../events/outbox.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'

/** Why an agreement has to be given anew: it ran out, or there is more now than it covers. */
export type RenewalReason = 'expired' | 'terms_changed' | 'data_changed'

/** Agreements judged in one transaction. */
const batchSize = 500

interface Judged {
  id: string
  memberId: string
  connectionId: string
  identityId: string
  reason: RenewalReason
}

/**
 * The single authority on what an agreement still covers. Marks those that have to be given anew, each once, and tells
 * so by event; what was agreed to goes on meanwhile, unless its time is over. Any number of processes may run it at
 * once. How many it marked.
 */
export async function requireRenewals(db: Db, now: Date): Promise<number> {
  let marked = 0
  for (;;) {
    const batch = await inTransaction(db, (tx) => markBatch(tx, now))
    marked += batch
    if (batch < batchSize) return marked
  }
}

/**
 * Not covered is: what is from after its end; terms published since that ask anew; a claim the upstream has told since;
 * a relying party that sees the link since without asking the member itself, because it is first-party.
 */
async function markBatch(tx: Tx, now: Date): Promise<number> {
  const judged = await tx.$queryRaw<Judged[]>`
    WITH uncovered AS (
      SELECT c."id", i."id" AS "identityId", CASE
        WHEN c."expiresAt" <= ${now} THEN 'expired'
        WHEN EXISTS (SELECT 1 FROM "ConnectionTerms" t WHERE t."connectionId" = c."connectionId" AND t."asksAnew"
          AND t."publishedAt" > c."agreedAt" AND t."publishedAt" <= ${now}) THEN 'terms_changed'
        WHEN EXISTS (SELECT 1 FROM unnest(ARRAY['name', 'email']) AS claim
          WHERE jsonb_exists(i."profile", claim) AND NOT jsonb_exists(c."shown"->'received', claim))
        OR EXISTS (SELECT 1 FROM "ClientConnection" k JOIN "Client" p ON p."id" = k."clientId"
          WHERE k."connectionId" = c."connectionId" AND k."discloses" AND p."firstParty" AND p."disabledAt" IS NULL
            AND jsonb_exists(c."shown", 'sharedWith') AND NOT jsonb_exists(c."shown"->'sharedWith', p."id"))
        THEN 'data_changed' END AS "reason"
      FROM "LinkConsent" c
      JOIN "FederatedIdentity" i
        ON i."issuer" = c."issuer" AND i."subject" = c."subject" AND i."memberId" = c."memberId"
      WHERE c."endedAt" IS NULL AND c."reconsentSince" IS NULL)
    UPDATE "LinkConsent" SET "reconsentSince" = ${now}, "reconsentReason" = u."reason"
    FROM (SELECT * FROM uncovered WHERE "reason" IS NOT NULL LIMIT ${batchSize}) u
    WHERE "LinkConsent"."id" = u."id" AND "LinkConsent"."reconsentSince" IS NULL AND "LinkConsent"."endedAt" IS NULL
    RETURNING "LinkConsent"."id", "memberId", "connectionId", u."identityId", u."reason"`
  const events = judged.map(({ id: consentId, memberId, connectionId, identityId, reason }) => {
    const data = { connectionId, identityId, consentId, reason }
    return { type: 'link.reconsent_required', memberId, data } as const
  })
  if (events.length > 0) await recordEvents(tx, events, now)
  return judged.length
}
