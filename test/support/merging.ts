import { applyMerge } from '../../src/linking/merge/apply.ts'
import { undoMerge } from '../../src/linking/merge/undo.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction, type Tx } from '../../src/store/db.ts'
import type { Merge } from '../../src/store/generated/client.ts'
import type { TestApp } from './app.ts'

type Server = Pick<TestApp, 'db' | 'now'>

/** The second member made part of the first, as when a member has proved both sides. */
export function merge(
  { db, now }: Server,
  survivor: { id: string },
  absorbed: { id: string },
  decidedBy = 'member',
): Promise<Merge> {
  const request = {
    survivorId: survivor.id,
    absorbedId: absorbed.id,
    decidedBy,
    undoDays: 30,
    random: systemRandom,
  }
  return inTransaction(db, (tx) => applyMerge(tx, request, now()))
}

/** Two of one again, as when the member has proved both sides. */
export function undo({ db, now }: Server, { id }: { id: string }) {
  return inTransaction(db, async (tx) => {
    const merge = await tx.merge.findUniqueOrThrow({ where: { id } })
    return undoMerge(tx, merge, 'member', now())
  })
}

const kept = [
  'ContactPoint',
  'PasswordCredential',
  'FederatedIdentity',
  'FormerIdentity',
  'LinkConsent',
  'Reward',
]
const more = ['LinkPrompt', 'Grant', 'KnownMember', 'PairwiseSubject']

/** Everything these members have, row by row, but for when their sessions count from and what waits for a mail to go. */
export async function belongingsOf({ db }: { db: Tx }, ids: readonly string[]): Promise<unknown> {
  const rows: [string, unknown][] = []
  for (const table of [...kept, ...more])
    rows.push([
      table,
      await db.$queryRawUnsafe(
        `SELECT to_jsonb(t) - 'sealedAddress' AS row FROM "${table}" t WHERE t."memberId" = ANY($1::uuid[]) ORDER BY to_jsonb(t)::text`,
        ids,
      ),
    ])
  const members = await db.$queryRaw`
    SELECT to_jsonb(m) - 'sessionsValidFrom' AS row FROM "Member" m WHERE "id" = ANY(${ids}::uuid[]) ORDER BY "id"`
  return { ...Object.fromEntries(rows), Member: members }
}

/** What this member has allowed a client: a grant, without the browser it takes. */
export async function givenGrant(
  { db, now }: Server,
  { memberId, clientId, scope = 'openid' }: { memberId: string; clientId: string; scope?: string },
): Promise<string> {
  const id = systemRandom.token(32)
  const [iat, exp] = [Math.floor(now().getTime() / 1000), Math.floor(now().getTime() / 1000) + 86_400]
  const payload = { accountId: memberId, clientId, jti: id, kind: 'Grant', iat, exp, openid: { scope } }
  const createdAt = now()
  await db.grant.create({
    data: { id, memberId, clientId, payload, createdAt, expiresAt: new Date(exp * 1000) },
  })
  await db.knownMember.createMany({
    data: { clientId, memberId, firstAt: createdAt },
    skipDuplicates: true,
  })
  return id
}
