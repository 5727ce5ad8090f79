import { holdUsableConnection } from '../connections/connection.ts'
import type { UpstreamTokens, VerifiedIdentity } from '../connections/connector.ts'
import { recordEvent } from '../events/outbox.ts'
import { lockMember } from '../members/member.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction, isUniqueViolation } from '../store/db.ts'
import { decideLink } from './decide.ts'
import { gatherFacts } from './identity.ts'
import type { LinkConsentText } from './link-consent.ts'
import { storeTokens, type TokenVault } from './token-vault.ts'

export interface AgreedLink {
  memberId: string
  identity: VerifiedIdentity
  tokens: UpstreamTokens
  consent: LinkConsentText
  purpose: 'link' | 'sign_in'
}

/**
 * Links what a member agreed to: identity, evidence, tokens and event in one transaction. The decision is taken again
 * inside it, and (issuer, subject) is unique, so of members who race for one account one gets it.
 * @throws Problem identity_linked_to_another_member, already_linked, account_unavailable, connection_unavailable
 */
export async function linkIdentity(db: Db, vault: TokenVault, agreed: AgreedLink, now: Date): Promise<void> {
  const { memberId, identity, consent, purpose } = agreed
  const { connectionId, issuer, subject, profile } = identity
  try {
    await inTransaction(db, async (tx) => {
      await holdUsableConnection(tx, connectionId)
      if ((await lockMember(tx, memberId))?.status !== 'active') throw new Problem('account_unavailable')
      refuseUnlessNew(decideLink(await gatherFacts(tx, identity, memberId)))
      const linked = await tx.federatedIdentity.create({
        data: {
          memberId,
          connectionId,
          issuer,
          subject,
          profile,
          linkedAt: now,
          lastUsedAt: purpose === 'sign_in' ? now : null,
        },
      })
      const { termsVersion, locale } = consent
      const evidence = await tx.linkConsent.create({
        data: {
          memberId,
          connectionId,
          issuer,
          subject,
          termsVersion,
          locale,
          shown: { ...consent, account: consent.account ?? null },
          agreedAt: now,
        },
      })
      await storeTokens(tx, vault, linked, agreed.tokens, now)
      const data = { connectionId, identityId: linked.id, consentId: evidence.id, purpose }
      await recordEvent(tx, { type: 'identity.linked', memberId, data }, now)
    })
  } catch (error) {
    if (isUniqueViolation(error)) throw new Problem('identity_linked_to_another_member', { cause: error })
    throw error
  }
}

function refuseUnlessNew(decision: ReturnType<typeof decideLink>): void {
  if (decision.action === 'already_linked') throw new Problem('already_linked')
  if (decision.action !== 'refuse') return
  throw new Problem(
    decision.reason === 'linked_to_another_member' ? 'identity_linked_to_another_member' : 'already_linked',
  )
}
