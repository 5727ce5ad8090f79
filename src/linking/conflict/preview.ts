import { listConnections } from '../../connections/connection.ts'
import { type Locale, localizedName } from '../../http/i18n.ts'
import { digest } from '../../security/digest.ts'
import type { Tx } from '../../store/db.ts'
import { consentText, type LinkConsentText } from '../link-consent.ts'
import { gatherMergeFacts } from '../merge/facts.ts'
import { planMerge } from '../merge/plan.ts'
import type { Contest } from './conflict.ts'
import { claimsOf, type MemberSummary, summarizeMember } from './member-summary.ts'
import type { Situation } from './situation.ts'

/** What goes with the form, so that what is carried out is what was on the page. */
const digestOf = (choice: string, ...shown: readonly object[]) => digest(JSON.stringify([choice, ...shown]))

export interface MovePreview {
  consent: LinkConsentText
  owner: MemberSummary
  claimant: MemberSummary
  digest: string
}

/** What moving the account means: the agreement to the link it becomes, and the two members as they are. */
export async function previewMove(
  tx: Tx,
  { connection, identity, contest }: Situation,
  { termsVersion, locale }: { termsVersion: string; locale: Locale },
  now: Date,
): Promise<MovePreview> {
  const consent = await consentText(tx, { connection, identity, termsVersion, locale }, now)
  const owner = await summarizeMember(tx, contest.ownerId, locale, now)
  const claimant = await summarizeMember(tx, contest.claimantId, locale, now)
  return { consent, owner, claimant, digest: digestOf('move', consent, owner, claimant) }
}

/** Which of the two members goes on. */
export type Survivor = 'claimant' | 'owner'

export function sidesOf(
  { ownerId, claimantId }: Pick<Contest, 'ownerId' | 'claimantId'>,
  survivor: Survivor,
) {
  return survivor === 'claimant'
    ? { survivorId: claimantId, absorbedId: ownerId }
    : { survivorId: ownerId, absorbedId: claimantId }
}

export interface MergePreview {
  survivor: MemberSummary
  absorbed: MemberSummary
  /** What comes to the survivor, in words for people. */
  comes: {
    emails: string[]
    accounts: { connection: string; name: string | null }[]
    attributes: string[]
    password: boolean
    services: string[]
    consents: number
    rewards: number
  }
  /** What of the absorbed member's is not used any more. */
  rests: { password: boolean; services: string[] }
  digest: string
}

/** What merging the two means, from the plan that is carried out. Undefined where it is refused. */
export async function previewMerge(
  tx: Tx,
  { contest }: Pick<Situation, 'contest'>,
  { survivor: side, locale }: { survivor: Survivor; locale: Locale },
  now: Date,
): Promise<MergePreview | undefined> {
  const pair = sidesOf(contest, side)
  const plan = planMerge(await gatherMergeFacts(tx, pair, now))
  if (plan.action === 'refuse') return undefined
  const survivor = await summarizeMember(tx, pair.survivorId, locale, now)
  const absorbed = await summarizeMember(tx, pair.absorbedId, locale, now)
  const named = await namesOf(tx, [...plan.comes.services, ...plan.rests.services], locale)
  const { emails, identities, attributes, password, services, consents, rewards } = plan.comes
  const comes = {
    ...{ emails, password, consents, rewards, attributes: claimsOf(attributes), services: named(services) },
    accounts: identities.map(({ connectionId, displayName }) => {
      return { connection: named([connectionId])[0] ?? connectionId, name: displayName ?? null }
    }),
  }
  const rests = { password: plan.rests.password, services: named(plan.rests.services) }
  return {
    survivor,
    absorbed,
    comes,
    rests,
    digest: digestOf('merge', survivor, absorbed, comes, rests, plan.parties),
  }
}

/** Names of relying parties and connections, by id. */
async function namesOf(tx: Tx, clientIds: string[], locale: Locale) {
  const clients = await tx.client.findMany({
    where: { id: { in: clientIds } },
    select: { id: true, name: true },
  })
  const connections = await listConnections(tx, { withDisabled: true })
  const names = new Map([
    ...clients.map(({ id, name }) => [id, localizedName.parse(name)[locale]] as const),
    ...connections.map(({ id, name }) => [id, name[locale]] as const),
  ])
  return (ids: readonly string[]) => ids.map((id) => names.get(id) ?? id)
}
