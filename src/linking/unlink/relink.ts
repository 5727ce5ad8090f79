import { holdUsableConnection } from '../../connections/connection.ts'
import type { UpstreamTokens, VerifiedIdentity } from '../../connections/connector.ts'
import { lockMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import { type FederatedIdentifier, findIdentity } from '../identity.ts'
import { storeTokens, type TokenVault } from '../tokens/token-vault.ts'
import type { LinkTrail } from '../way.ts'
import { mendLink } from './needs-relink.ts'

/** The id an account had when this member last had it linked, unless the upstream has given it to somebody else since. */
export async function formerIdOf(
  tx: Tx,
  memberId: string,
  { issuer, subject }: FederatedIdentifier,
): Promise<string | undefined> {
  const own = await tx.formerIdentity.findFirst({
    where: { memberId, issuer, subject },
    orderBy: [{ unlinkedAt: 'desc' }, { id: 'desc' }],
  })
  if (!own) return undefined
  const recycled = await tx.formerIdentity.count({
    where: { issuer, subject, reason: 'identifier_recycled', unlinkedAt: { gte: own.unlinkedAt } },
  })
  return recycled === 0 ? own.identityId : undefined
}

/**
 * Mends a link whose upstream had ceased to stand behind it: the same member has proved the same account again. What was
 * agreed to goes on. @throws Problem link_not_found, account_unavailable, connection_unavailable
 */
export async function relinkIdentity(
  db: Db,
  vault: TokenVault,
  proof: {
    memberId: string
    identity: VerifiedIdentity
    tokens: UpstreamTokens | undefined
    trail: LinkTrail
  },
  now: Date,
): Promise<void> {
  const { memberId, identity, tokens, trail } = proof
  await inTransaction(db, async (tx) => {
    await holdUsableConnection(tx, identity.connectionId)
    if ((await lockMember(tx, memberId))?.status !== 'active') throw new Problem('account_unavailable')
    const linked = await findIdentity(tx, identity)
    if (linked?.memberId !== memberId) throw new Problem('link_not_found')
    await tx.federatedIdentity.update({ where: { id: linked.id }, data: { profile: identity.profile } })
    if (tokens) await storeTokens(tx, vault, linked, tokens, now)
    await mendLink(tx, linked, trail, now)
  })
}
