import type { UpstreamTokens, VerifiedIdentity } from '../../connections/connector.ts'
import { recordEvent } from '../../events/outbox.ts'
import { Problem } from '../../problem.ts'
import type { Tx } from '../../store/db.ts'
import { type ConsentPlace, type LinkConsentText, recordConsent } from '../link-consent.ts'
import { storeTokens, type TokenVault } from '../tokens/token-vault.ts'
import { type LinkTrail, trailOf } from '../way.ts'
import type { Contest } from './conflict.ts'

export interface AgreedMove {
  contest: Contest
  conflictId: string
  identity: VerifiedIdentity
  /** Of the proof just given; without it, none are kept. */
  fresh?: { vault: TokenVault; tokens: UpstreamTokens } | undefined
  consent: LinkConsentText
  place?: ConsentPlace | undefined
  trail: LinkTrail
}

/**
 * Gives the account to the claimant: the link keeps its id, the owner's agreement ends, the claimant's is kept as for
 * any link. The upstream is told nothing, for the account goes on being linked here. Call it with both members held and
 * everything checked. @throws Problem conflict_changed when the account is not the owner's
 */
export async function applyMove(tx: Tx, agreed: AgreedMove, now: Date): Promise<void> {
  const { contest, conflictId, identity, fresh, consent, place, trail } = agreed
  const { connectionId, issuer, subject, ownerId, claimantId } = contest
  const where = { issuer, subject, memberId: ownerId }
  const [moved] = await tx.federatedIdentity.updateManyAndReturn({
    where,
    data: {
      ...{ memberId: claimantId, way: trail.way, profile: identity.profile, linkedAt: now },
      ...{ lastUsedAt: null, needsRelinkSince: null, needsRelinkReason: null },
    },
  })
  if (!moved) throw new Problem('conflict_changed')
  await tx.linkConsent.updateMany({ where: { ...where, endedAt: null }, data: { endedAt: now } })
  const given = { memberId: claimantId, identity, consent, place, ...trailOf(trail) }
  const consentId = await recordConsent(tx, given, now)
  // Those of before were given to another member.
  if (fresh) await storeTokens(tx, fresh.vault, moved, fresh.tokens, now)
  else await tx.upstreamToken.deleteMany({ where: { id: moved.id } })
  const data = { connectionId, identityId: moved.id, conflictId }
  const events = [
    { type: 'link.consented', memberId: claimantId, data: { ...trailOf(trail), consentId } },
    {
      type: 'identity.moved',
      memberId: claimantId,
      data: { ...trailOf(trail), ...data, fromMemberId: ownerId },
    },
    { type: 'identity.moved_away', memberId: ownerId, data: { ...data, toMemberId: claimantId } },
  ] as const
  for (const event of events) await recordEvent(tx, event, now)
}
