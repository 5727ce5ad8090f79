import { lockMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import { endLink, type UnlinkPolicy } from './end-link.ts'

/**
 * Takes an identity off its member, who wants it so. Never the last way to sign in; the member is held meanwhile, so two
 * unlinks at once cannot each leave the other's.
 * @throws Problem link_not_found, last_sign_in_method
 */
export async function unlinkIdentity(
  db: Db,
  policy: UnlinkPolicy,
  { memberId, identityId }: { memberId: string; identityId: string },
  now: Date,
): Promise<void> {
  await inTransaction(db, async (tx) => {
    await lockMember(tx, memberId)
    const identity = await tx.federatedIdentity.findFirst({ where: { id: identityId, memberId } })
    if (!identity) throw new Problem('link_not_found')
    if (await isLastSignInMethod(tx, memberId, identityId)) throw new Problem('last_sign_in_method')
    await endLink(tx, policy, identity, 'member', now)
  })
}

/**
 * True when the member could not sign in without this identity: no password for an address of theirs, and no other
 * identity that signs in now. One whose connection is disabled, or that the upstream no longer stands behind, does not.
 */
export async function isLastSignInMethod(tx: Tx, memberId: string, identityId: string): Promise<boolean> {
  const passwords = await tx.passwordCredential.count({
    where: { memberId, member: { contactPoints: { some: { kind: 'email' } } } },
  })
  const others = await tx.federatedIdentity.count({
    where: {
      ...{ memberId, id: { not: identityId }, needsRelinkSince: null },
      connection: { disabledAt: null, allowSignIn: true },
    },
  })
  return passwords + others === 0
}
