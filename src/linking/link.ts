import { holdUsableConnection } from '../connections/connection.ts'
import type { UpstreamTokens, VerifiedIdentity } from '../connections/connector.ts'
import { recordEvent } from '../events/outbox.ts'
import { lockMember } from '../members/member.ts'
import { Problem, type ProblemCode } from '../problem.ts'
import { type Db, inTransaction, isUniqueViolation, type Tx } from '../store/db.ts'
import type { FederatedIdentity } from '../store/generated/client.ts'
import { grantReward } from './campaigns/reward.ts'
import { decideLink, type LinkRefusal } from './decide.ts'
import { gatherFacts } from './identity.ts'
import { type ConsentPlace, type LinkConsentText, recordConsent } from './link-consent.ts'
import { storeTokens, type TokenVault } from './tokens/token-vault.ts'
import { formerIdOf } from './unlink/relink.ts'
import { type LinkTrail, trailOf } from './way.ts'

export interface AgreedLink extends LinkTrail {
  memberId: string
  identity: VerifiedIdentity
  /** Absent where the upstream gives none. */
  tokens?: UpstreamTokens | undefined
  consent: LinkConsentText
  /** Where the agreement was given. */
  place?: ConsentPlace | undefined
  /** When it was given, if that was not now. */
  agreedAt?: Date
  purpose: 'link' | 'sign_in'
}

/**
 * Links what a member agreed to, in a transaction of its own; see `applyLink`.
 * @throws Problem as `applyLink`
 */
export async function linkIdentity(db: Db, vault: TokenVault, agreed: AgreedLink, now: Date): Promise<void> {
  try {
    await inTransaction(db, (tx) => applyLink(tx, vault, agreed, now))
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('identity_linked_to_another_member', { cause: error })
    throw error
  }
}

/**
 * The single place a link is made, whatever the way in: identity, evidence, tokens, events and reward. The decision is
 * taken again inside the transaction, and (issuer, subject) is unique, so of members who race for one account one gets it;
 * the others' transactions end with a unique violation. An account this member had before has its old id again.
 * @throws Problem identity_linked_to_another_member, already_linked, identity_cooling_off, account_unavailable,
 * connection_unavailable
 */
export async function applyLink(
  tx: Tx,
  vault: TokenVault,
  agreed: AgreedLink,
  now: Date,
): Promise<FederatedIdentity> {
  const { memberId, identity, purpose, way } = agreed
  const { connectionId, issuer, subject, profile } = identity
  await holdUsableConnection(tx, connectionId)
  if ((await lockMember(tx, memberId))?.status !== 'active') throw new Problem('account_unavailable')
  refuseUnlessNew(decideLink(await gatherFacts(tx, identity, memberId, now)))
  const formerId = await formerIdOf(tx, memberId, identity)
  const linked = await tx.federatedIdentity.create({
    data: {
      ...(formerId && { id: formerId }),
      ...{ memberId, connectionId, issuer, subject, profile, way },
      linkedAt: now,
      lastUsedAt: purpose === 'sign_in' ? now : null,
    },
  })
  const consentId = await recordConsent(tx, agreed, now)
  if (agreed.tokens) await storeTokens(tx, vault, linked, agreed.tokens, now)
  const trail = trailOf({ ...agreed, connectionId })
  await recordEvent(tx, { type: 'link.consented', memberId, data: { ...trail, consentId } }, now)
  const restored = formerId ? { restored: true } : {}
  const data = { ...trail, identityId: linked.id, consentId, purpose, ...restored }
  await recordEvent(tx, { type: 'identity.linked', memberId, data }, now)
  await grantReward(tx, { memberId, connectionId, identity, way, consentId }, now)
  return linked
}

const problemOf: Record<LinkRefusal, ProblemCode> = {
  linked_to_another_member: 'identity_linked_to_another_member',
  another_identity_linked: 'already_linked',
  cooling_off: 'identity_cooling_off',
}

function refuseUnlessNew(decision: ReturnType<typeof decideLink>): void {
  if (decision.action === 'already_linked' || decision.action === 'relink')
    throw new Problem('already_linked')
  if (decision.action === 'refuse') throw new Problem(problemOf[decision.reason])
}
