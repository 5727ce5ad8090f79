import { z } from 'zod'
import { findConnection, presentConnection } from '../../connections/connection.ts'
import type { VerifiedIdentity } from '../../connections/connector.ts'
import type { Connection } from '../../connections/settings.ts'
import type { HttpContext } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { render } from '../../http/render.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import type { Db } from '../../store/db.ts'
import { findIdentity, profileOf } from '../identity.ts'
import { consentDigest, consentText, type LinkConsentText } from '../link-consent.ts'
import { type Evidence, findEvidence, listEvidence } from './evidence.ts'
import { placeOf } from './place.ts'
import { renewConsent } from './renew.ts'

export interface RenewalDeps {
  db: Db
  termsVersion: string
}

/** An agreement of a member that can be given anew, and what it would say now. */
export interface Renewal {
  evidence: Evidence
  connection: Connection
  identity: Pick<VerifiedIdentity, 'connectionId' | 'issuer' | 'subject'>
  identityId: string
  text: LinkConsentText
}

const agreement = z.object({ shown: z.string().max(100) })

/** The agreement that this member has to be asked for next, if there is one. */
export async function nextRenewal(
  deps: RenewalDeps,
  ctx: HttpContext,
  memberId: string,
): Promise<Renewal | undefined> {
  for (const { id, state } of await listEvidence(deps.db, memberId, ctx.state.now)) {
    if (state !== 'renewal_required' && state !== 'expired') continue
    const renewal = await findRenewal(deps, ctx, { id, memberId })
    if (renewal) return renewal
  }
  return undefined
}

/**
 * Undefined when there is nothing to renew: it has ended, the account is not linked to this member any more, or its
 * connection is disabled. @throws Problem not_found for what is no agreement of this member
 */
export async function findRenewal(
  { db, termsVersion }: RenewalDeps,
  ctx: HttpContext,
  own: { id: string; memberId: string },
): Promise<Renewal | undefined> {
  const { locale, now } = ctx.state
  const evidence = await findEvidence(db, own, now)
  if (!evidence) throw new Problem('not_found')
  const { memberId, connectionId, issuer, subject, state } = evidence
  const [linked, connection] = await Promise.all([
    findIdentity(db, { issuer, subject }),
    findConnection(db, connectionId),
  ])
  if (state === 'ended' || linked?.memberId !== memberId || !connection || connection.disabledAt)
    return undefined
  const basis = { connection, identity: { profile: profileOf(linked.profile) }, termsVersion, locale }
  const text = await consentText(db, basis, now)
  return { evidence, connection, identity: { connectionId, issuer, subject }, identityId: linked.id, text }
}

export function renderRenewal(
  ctx: HttpContext,
  { evidence, connection, text }: Renewal,
  urls: { agreeUrl: string; laterUrl: string },
): void {
  render(ctx, 'linking/renew-consent', {
    ...urls,
    connection: presentConnection(connection, ctx.state.locale),
    reason: evidence.state === 'expired' ? 'expired' : (evidence.reconsentReason ?? 'data_changed'),
    before: evidence.shown,
    text,
    shown: consentDigest(text),
  })
}

/** Takes the agreement from the page's form. What changed since the page was shown has not been agreed to. */
export async function agreeAnew(
  deps: RenewalDeps,
  ctx: HttpContext,
  own: { id: string; memberId: string },
): Promise<'renewed' | 'changed' | 'over'> {
  const { shown } = requireForm(ctx, agreement)
  const renewal = await findRenewal(deps, ctx, own)
  if (!renewal) return 'over'
  const { text, identity, identityId } = renewal
  if (!equalInConstantTime(shown, consentDigest(text))) return 'changed'
  const { memberId, id: consentId } = own
  const given = { memberId, identity, consent: text, way: 'account_page', place: placeOf(ctx) } as const
  try {
    await renewConsent(deps.db, { consentId, identityId }, given, ctx.state.now)
    return 'renewed'
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'link_not_found') throw error
    return 'over'
  }
}
