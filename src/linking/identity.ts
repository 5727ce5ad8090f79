import { z } from 'zod'
import type { VerifiedIdentity } from '../connections/connector.ts'
import { emailAddress, findEmail } from '../members/contact-point.ts'
import type { Tx } from '../store/db.ts'
import type { FederatedIdentity } from '../store/generated/client.ts'
import type { LinkFacts } from './decide.ts'

/** Who an upstream account is, in the whole world: never its address, never its name. */
export interface FederatedIdentifier {
  issuer: string
  subject: string
}

const storedProfile = z.object({ name: z.string().optional(), email: z.string().optional() })

export function findIdentity(
  tx: Tx,
  { issuer, subject }: FederatedIdentifier,
): Promise<FederatedIdentity | null> {
  return tx.federatedIdentity.findUnique({ where: { issuer_subject: { issuer, subject } } })
}

/** What the upstream told about an account, as it is stored. */
export function profileOf(stored: unknown): VerifiedIdentity['profile'] {
  const { name, email } = storedProfile.safeParse(stored).data ?? {}
  return { ...(name && { name }), ...(email && { email }) }
}

/** The name the upstream knows this account by, for pages. */
export function displayNameOf(profile: unknown): string | undefined {
  const { name, email } = profileOf(profile)
  return name ?? email
}

/** True while an account that somebody unlinked a short while ago is kept for that member. */
export async function isHeld(tx: Tx, identity: FederatedIdentifier, now: Date): Promise<boolean> {
  return !(await findIdentity(tx, identity)) && (await findHold(tx, identity, undefined, now)) !== null
}

function findHold(tx: Tx, { issuer, subject }: FederatedIdentifier, acting: string | undefined, now: Date) {
  return tx.formerIdentity.findFirst({
    where: { issuer, subject, coolOffUntil: { gt: now }, ...(acting && { memberId: { not: acting } }) },
    orderBy: { unlinkedAt: 'desc' },
  })
}

/** Collects what `decideLink` needs, one query after the other: a transaction has one connection. */
export async function gatherFacts(
  tx: Tx,
  identity: VerifiedIdentity,
  acting: string | undefined,
  now: Date,
): Promise<LinkFacts> {
  const { connectionId, profile } = identity
  const linked = await findIdentity(tx, identity)
  const own = acting
    ? await tx.federatedIdentity.findFirst({ where: { memberId: acting, connectionId } })
    : null
  const held = await findHold(tx, identity, acting, now)
  // Counts as a hint only in the form a member's own address has to have.
  const email = emailAddress.safeParse(profile.email).data
  const holder = email ? await findEmail(tx, email) : null
  return {
    linkedTo: linked?.memberId,
    acting,
    sameEmail: holder?.memberId,
    hasAnotherIdentity: own !== null && own.id !== linked?.id,
    heldFor: held?.memberId,
    needsRelink: linked?.needsRelinkSince != null,
  }
}
