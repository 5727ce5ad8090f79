import { z } from 'zod'
import { findConnection } from '../../connections/connection.ts'
import type { VerifiedIdentity } from '../../connections/connector.ts'
import { type Locale, toLocale } from '../../http/i18n.ts'
import { findActiveMember } from '../../members/member.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import { decideLink, type LinkRefusal } from '../decide.ts'
import { gatherFacts } from '../identity.ts'
import { linkIdentity } from '../link.ts'
import type { LinkConsentText } from '../link-consent.ts'
import type { TokenVault } from '../tokens/token-vault.ts'

/** A link that was agreed to elsewhere, and who vouches for that. */
export const statedLink = z.object({
  connectionId: z.string(),
  memberId: z.uuid(),
  /** OpenID Connect Core 2: at most 255 ASCII characters. */
  subject: z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters'),
  name: z.string().trim().min(1).max(100).optional(),
  email: z.email().max(254).optional(),
  agreedAt: z.date(),
  termsVersion: z
    .string()
    .regex(/^[\w.-]{1,40}$/, 'letters, digits, dots, hyphens and underscores, at most 40'),
  /** Who says so and on what ground: kept as evidence, shown to the member. */
  statement: z.string().trim().min(1).max(500),
})
export type StatedLink = z.infer<typeof statedLink>

export type StatedOutcome =
  | 'linked'
  | 'already_linked'
  | LinkRefusal
  | 'account_unavailable'
  | 'connection_unavailable'
  | 'agreed_in_the_future'

/**
 * Links an account on a statement, like every link: decided, evidenced, applied. What stands in the way is a value; with
 * `dryRun` nothing is done and the answer is what would be.
 */
export async function addStatedLink(
  deps: { db: Db; vault: TokenVault },
  stated: StatedLink,
  { way, dryRun = false }: { way: 'management' | 'import'; dryRun?: boolean },
  now: Date,
): Promise<StatedOutcome> {
  const { db, vault } = deps
  const { memberId, connectionId, statement, agreedAt } = stated
  // When somebody agreed to what has not happened yet, somebody mistook something.
  if (agreedAt > now) return 'agreed_in_the_future'
  const [connection, member] = await Promise.all([
    findConnection(db, connectionId),
    findActiveMember(db, memberId),
  ])
  if (!connection || connection.disabledAt) return 'connection_unavailable'
  if (!member) return 'account_unavailable'
  const identity = identityOf(stated, connection.issuer)
  const decision = decideLink(await gatherFacts(db, identity, memberId, now))
  if (decision.action === 'already_linked') return 'already_linked'
  if (decision.action === 'refuse') return decision.reason
  if (dryRun) return 'linked'
  const locale = toLocale(member.locale ?? undefined) ?? 'ja'
  const consent = stateConsent(stated, connection.name[locale], locale)
  const agreed = { memberId, connectionId, identity, consent, agreedAt, way, purpose: 'link' } as const
  try {
    await linkIdentity(db, vault, { ...agreed, place: { statement } }, now)
    return 'linked'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    // Something came between the decision and the link: it is decided anew.
    return addStatedLink(deps, stated, { way, dryRun }, now)
  }
}

function identityOf({ connectionId, subject, name, email }: StatedLink, issuer: string): VerifiedIdentity {
  const profile = { ...(name && { name }), ...(email && { email }) }
  return { connectionId, issuer, subject, profile, emailVerified: false }
}

/** What was agreed to, as far as the statement says. */
function stateConsent(
  { name, email, termsVersion }: StatedLink,
  connection: string,
  locale: Locale,
): LinkConsentText {
  return {
    connection,
    account: name ?? email,
    received: ['subject', ...(name ? ['name'] : []), ...(email ? ['email'] : [])],
    ...{ shared: [], sharedWith: [], termsVersion, terms: undefined, consentDays: undefined, locale },
  }
}
