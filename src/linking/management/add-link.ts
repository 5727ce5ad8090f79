import { z } from 'zod'
import { findConnection } from '../../connections/connection.ts'
import type { VerifiedIdentity } from '../../connections/connector.ts'
import { type Locale, toLocale } from '../../http/i18n.ts'
import { lockMember } from '../../members/member.ts'
import { type Db, inTransaction, isUniqueViolation, type Tx } from '../../store/db.ts'
import { decideLink, type LinkRefusal } from '../decide.ts'
import { gatherFacts } from '../identity.ts'
import { applyLink } from '../link.ts'
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

/** Who states it, and how; with `dryRun` nothing is done. */
export interface StatedBy {
  way: 'management' | 'import'
  clientId?: string
  dryRun?: boolean
}

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
  by: StatedBy,
  now: Date,
): Promise<StatedOutcome> {
  // When somebody agreed to what has not happened yet, somebody mistook something.
  if (stated.agreedAt > now) return 'agreed_in_the_future'
  try {
    return await inTransaction(deps.db, (tx) => decideAndLink(tx, deps.vault, stated, by, now))
  } catch (error) {
    // Another member was given the account in this very moment: then it is theirs, which is decided anew.
    if (isUniqueViolation(error)) return addStatedLink(deps, stated, by, now)
    throw error
  }
}

/** The member is held first, so that of those who state the same at once one links it and the others see that. */
async function decideAndLink(
  tx: Tx,
  vault: TokenVault,
  stated: StatedLink,
  { way, clientId, dryRun = false }: StatedBy,
  now: Date,
): Promise<StatedOutcome> {
  const { memberId, connectionId, statement, agreedAt } = stated
  const connection = await findConnection(tx, connectionId)
  if (!connection || connection.disabledAt) return 'connection_unavailable'
  if ((await lockMember(tx, memberId))?.status !== 'active') return 'account_unavailable'
  const identity = identityOf(stated, connection.issuer)
  const decision = decideLink(await gatherFacts(tx, identity, memberId, now))
  if (decision.action === 'already_linked') return 'already_linked'
  if (decision.action === 'refuse') return decision.reason
  if (dryRun) return 'linked'
  const { locale: tag } = await tx.member.findUniqueOrThrow({ where: { id: memberId } })
  const locale = toLocale(tag ?? undefined) ?? 'ja'
  const consent = stateConsent(stated, connection.name[locale], locale)
  const trail = { connectionId, way, ...(clientId !== undefined && { clientId }) }
  const agreed = { ...trail, memberId, identity, consent, agreedAt, place: { statement } }
  await applyLink(tx, vault, { ...agreed, purpose: 'link' }, now)
  return 'linked'
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
