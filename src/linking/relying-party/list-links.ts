import type { Db } from '../../store/db.ts'
import { type Client, type ClientConnection, Prisma } from '../../store/generated/client.ts'

/** One link of a member of the client, or with `endedAt` one that is over. */
export interface ListedLink {
  id: string
  memberId: string
  connectionId: string
  issuer: string
  subject: string
  linkedAt: Date
  needsRelinkSince: Date | null
  endedAt: Date | null
  settings: unknown
}

/** The client that asks, as it is registered at this moment. */
export type LinkReader = Client & { connections: ClientConnection[] }

export function findReader(db: Db, clientId: string): Promise<LinkReader> {
  return db.client.findUniqueOrThrow({ where: { id: clientId }, include: { connections: true } })
}

export interface LinkListing {
  /** Those of this member alone. */
  memberId: string | undefined
  /** What was linked, fell out of repair or ended since then; unset, what there is. */
  since: Date | undefined
  after: { memberId: string; id: string } | undefined
  limit: number
}

/**
 * The links a client may see, in an order that stays the same while others come and go: at most `limit`. By the grant as
 * it is stored: the scope or the claim, and for whoever has to ask members, the connection named when they agreed.
 */
export function listLinks(
  db: Db,
  { id: clientId, firstParty, connections }: LinkReader,
  { memberId, since, after, limit }: LinkListing,
  now: Date,
): Promise<ListedLink[]> {
  const allowed = connections.filter(({ discloses }) => discloses).map(({ connectionId }) => connectionId)
  return db.$queryRaw<ListedLink[]>`
    SELECT l.*, c."settings" FROM (
      SELECT "id", "memberId", "connectionId", "issuer", "subject", "linkedAt", "needsRelinkSince",
        NULL::timestamptz AS "endedAt", GREATEST("linkedAt", "needsRelinkSince") AS "changedAt"
      FROM "FederatedIdentity" WHERE "consentUntil" IS NULL OR "consentUntil" > ${now}
      ${since ? ended : Prisma.empty}
    ) l
    JOIN "Connection" c ON c."id" = l."connectionId" AND c."disabledAt" IS NULL
    JOIN "Member" m ON m."id" = l."memberId" AND m."status" = 'active'
    WHERE l."connectionId" = ANY(${allowed}::text[])
      AND (${memberId ?? null}::uuid IS NULL OR l."memberId" = ${memberId ?? null}::uuid)
      AND (${since ?? null}::timestamptz IS NULL OR l."changedAt" >= ${since ?? null}::timestamptz)
      AND (${after?.memberId ?? null}::uuid IS NULL
        OR (l."memberId", l."id") > (${after?.memberId ?? null}::uuid, ${after?.id ?? null}::uuid))
      AND EXISTS (
        SELECT 1 FROM "Grant" g
        WHERE g."clientId" = ${clientId} AND g."memberId" = l."memberId"
          AND (g."expiresAt" IS NULL OR g."expiresAt" > ${now})
          AND ('linked_accounts' = ANY(string_to_array(g."payload"->'openid'->>'scope', ' '))
            OR COALESCE(g."payload"->'openid'->'claims' ? 'linked_accounts', false))
          AND (${firstParty}::boolean OR l."connectionId" = ANY(
            string_to_array(g."payload"->'resources'->>'urn:hitotsu:linked-accounts', ' '))))
    ORDER BY l."memberId", l."id" LIMIT ${limit}`
}

/** Links that are over, each by its last end, unless the same account is linked to the same member again. */
const ended = Prisma.sql`
  UNION ALL
  SELECT "id", "memberId", "connectionId", "issuer", "subject", "linkedAt", NULL, "unlinkedAt", "unlinkedAt"
  FROM "FormerIdentity" f WHERE NOT EXISTS (
    SELECT 1 FROM "FederatedIdentity" i
    WHERE i."issuer" = f."issuer" AND i."subject" = f."subject" AND i."memberId" = f."memberId")
  AND NOT EXISTS (
    SELECT 1 FROM "FormerIdentity" n
    WHERE n."identityId" = f."identityId" AND n."memberId" = f."memberId" AND n."unlinkedAt" > f."unlinkedAt")`
