import { applyMerge } from '../../src/linking/merge/apply.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction } from '../../src/store/db.ts'
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
  const request = { survivorId: survivor.id, absorbedId: absorbed.id, decidedBy, undoDays: 30 }
  return inTransaction(db, (tx) => applyMerge(tx, request, now()))
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
