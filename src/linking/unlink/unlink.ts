import { recordEvent } from '../../events/outbox.ts'
import { lockMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import { discardTokens } from '../tokens/token-vault.ts'

/**
 * Takes an identity off its member. Never the last way to sign in; the member is held meanwhile, so two unlinks at once
 * cannot each leave the other's. Evidence of the consent stays. The upstream is told afterwards, from the event.
 * @throws Problem link_not_found, last_sign_in_method
 */
export async function unlinkIdentity(
  db: Db,
  memberId: string,
  connectionId: string,
  now: Date,
): Promise<void> {
  await inTransaction(db, async (tx) => {
    await lockMember(tx, memberId)
    const identity = await tx.federatedIdentity.findFirst({ where: { memberId, connectionId } })
    if (!identity) throw new Problem('link_not_found')
    if (await isLastSignInMethod(tx, memberId, identity.id)) throw new Problem('last_sign_in_method')
    await discardTokens(tx, identity.id, now)
    await tx.federatedIdentity.delete({ where: { id: identity.id } })
    await tx.linkConsent.updateMany({
      where: { memberId, connectionId, endedAt: null },
      data: { endedAt: now },
    })
    await recordEvent(
      tx,
      { type: 'identity.unlinked', memberId, data: { connectionId, identityId: identity.id } },
      now,
    )
  })
}

/** True when the member could not sign in without this identity: no password, and no other identity that signs in. */
export async function isLastSignInMethod(tx: Tx, memberId: string, identityId: string): Promise<boolean> {
  const password = await tx.passwordCredential.count({ where: { memberId } })
  const others = await tx.federatedIdentity.count({
    where: { memberId, id: { not: identityId }, connection: { disabledAt: null, allowSignIn: true } },
  })
  return password + others === 0
}
