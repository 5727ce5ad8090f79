import { type Names, namesIn } from '../../oidc/lineage.ts'
import { displayNameOf } from '../identity.ts'
import { lackedAttributes } from './attributes.ts'
import type { MergeFacts, MergeSide } from './facts.ts'
import type { RowChange, TouchedTable, Values } from './row-change.ts'

export type MergeRefusal = 'same_member' | 'not_found' | 'not_active' | 'already_merged'

/** What a relying party will call the member, and whom it knew. */
export interface PartyView extends Names {
  clientId: string
  name: unknown
  knew: 'survivor' | 'absorbed' | 'both'
}

export interface MergePlan {
  action: 'merge'
  /** Every row that changes, in the order in which it does. */
  changes: RowChange[]
  /** What comes to the survivor. */
  comes: {
    emails: string[]
    identities: { id: string; connectionId: string; displayName: string | undefined }[]
    /** The absorbed member's password goes on: the survivor has none. */
    password: boolean
    /** What the survivor's profile lacked, by the names of its columns. */
    attributes: string[]
    consents: number
    rewards: number
    /** Services the absorbed member had allowed, and the survivor had not. */
    services: string[]
  }
  /** What is not used any more, and comes back should the merge be undone. */
  rests: { password: boolean; services: string[] }
  parties: PartyView[]
}

/**
 * Whether the second member can be made part of the first, and what that does: pure, so that the page shows what is
 * carried out. Both must be active, so no chain of merges can lead back to where it began.
 */
export function planMerge(facts: MergeFacts): MergePlan | { action: 'refuse'; reason: MergeRefusal } {
  const { survivor, absorbed } = facts
  if (!survivor || !absorbed) return { action: 'refuse', reason: 'not_found' }
  if (survivor.id === absorbed.id) return { action: 'refuse', reason: 'same_member' }
  if (absorbed.status === 'absorbed') return { action: 'refuse', reason: 'already_merged' }
  if (survivor.status !== 'active' || absorbed.status !== 'active')
    return { action: 'refuse', reason: 'not_active' }

  const attributes = lackedAttributes(survivor, absorbed)
  const services = servicesOf(absorbed)
  const [kept, copied] = [servicesOf(survivor), services.filter((id) => !servicesOf(survivor).includes(id))]
  return {
    action: 'merge',
    changes: changesOf(survivor, absorbed, attributes),
    comes: {
      emails: absorbed.contactPoints.map(({ value }) => value),
      identities: absorbed.identities.map(({ id, connectionId, profile }) => ({
        ...{ id, connectionId },
        displayName: displayNameOf(profile),
      })),
      password: absorbed.password !== null && survivor.password === null,
      attributes: Object.keys(attributes.after),
      consents: absorbed.linkConsents.length,
      rewards: movedRewards(survivor, absorbed).length,
      services: copied,
    },
    rests: {
      password: absorbed.password !== null && survivor.password !== null,
      services: services.filter((id) => kept.includes(id)),
    },
    parties: partiesOf(facts),
  }
}

const servicesOf = ({ grants }: MergeSide) => [...new Set(grants.map(({ clientId }) => clientId))].sort()

/** In one campaign a member has one reward: where the survivor has it, the other stays where it is. */
const movedRewards = (survivor: MergeSide, absorbed: MergeSide) =>
  absorbed.rewards.filter(({ campaignId }) => !survivor.rewards.some((own) => own.campaignId === campaignId))

function changesOf(
  survivor: MergeSide,
  absorbed: MergeSide,
  attributes: { before: Values; after: Values },
): RowChange[] {
  const to = { memberId: survivor.id }
  const from = { memberId: absorbed.id }
  const move = (table: TouchedTable, rows: readonly { id: string }[]): RowChange[] =>
    rows.map(({ id }) => ({ table, key: { id }, before: from, after: to }))
  const hasPrimary = survivor.contactPoints.some(({ isPrimary }) => isPrimary)
  const asked = new Set(survivor.prompts.map(({ connectionId }) => connectionId))
  const ofMember = (id: string, before: Values, after: Values): RowChange[] =>
    Object.keys(after).length > 0 ? [{ table: 'Member', key: { id }, before, after }] : []
  return [
    ...ofMember(absorbed.id, { status: 'active' }, { status: 'absorbed' }),
    ...ofMember(survivor.id, attributes.before, attributes.after),
    ...absorbed.contactPoints.map(({ id, isPrimary }): RowChange => {
      const after = { ...to, isPrimary: isPrimary && !hasPrimary }
      return { table: 'ContactPoint', key: { id }, before: { ...from, isPrimary }, after }
    }),
    ...passwordChange(survivor, absorbed),
    ...move('FederatedIdentity', absorbed.identities),
    ...move('FormerIdentity', absorbed.formerIdentities),
    ...move('LinkConsent', absorbed.linkConsents),
    ...conflictChanges(survivor, absorbed),
    ...move('Reward', movedRewards(survivor, absorbed)),
    ...absorbed.prompts
      .filter(({ connectionId }) => !asked.has(connectionId))
      .map(({ connectionId }): RowChange => {
        return { table: 'LinkPrompt', key: { ...from, connectionId }, before: from, after: to }
      }),
  ]
}

/** `changedAt` goes along so that a password set since is known from this one. */
function passwordChange(survivor: MergeSide, absorbed: MergeSide): RowChange[] {
  if (!absorbed.password || survivor.password) return []
  const changedAt = absorbed.password.changedAt.toISOString()
  const [key, after] = [{ memberId: absorbed.id }, { memberId: survivor.id, changedAt }]
  return [{ table: 'PasswordCredential', key, before: { ...key, changedAt }, after }]
}

/** Open conflicts with others go on with the survivor; one between the two, or one the survivor has as well, is left. */
function conflictChanges(survivor: MergeSide, absorbed: MergeSide): RowChange[] {
  const two = [survivor.id, absorbed.id]
  const change = (key: { id: string }, column: 'ownerId' | 'claimantId'): RowChange => {
    const values = (id: string) => ({ [column]: id })
    return { table: 'LinkConflict', key, before: values(absorbed.id), after: values(survivor.id) }
  }
  const owned = absorbed.conflictsOwned.filter(
    (one) =>
      !two.includes(one.claimantId) &&
      !survivor.conflictsOwned.some((own) => isOf(own, one) && own.claimantId === one.claimantId),
  )
  const claimed = absorbed.conflictsClaimed.filter(
    (one) =>
      !two.includes(one.ownerId) &&
      !survivor.conflictsClaimed.some((own) => isOf(own, one) && own.ownerId === one.ownerId),
  )
  return [
    ...owned.map(({ id }) => change({ id }, 'ownerId')),
    ...claimed.map(({ id }) => change({ id }, 'claimantId')),
  ]
}

type Account = { issuer: string; subject: string }
const isOf = (one: Account, other: Account) => one.issuer === other.issuer && one.subject === other.subject

function partiesOf({ survivorLineage, absorbedLineage, knowers }: MergeFacts): PartyView[] {
  return knowers.flatMap(({ clientId, name, known }): PartyView[] => {
    const knewSurvivor = survivorLineage.some((id) => known.includes(id))
    const knewAbsorbed = absorbedLineage.some((id) => known.includes(id))
    if (!knewSurvivor && !knewAbsorbed) return []
    const knew = knewSurvivor && knewAbsorbed ? 'both' : knewSurvivor ? 'survivor' : 'absorbed'
    return [{ clientId, name, knew, ...namesIn([...survivorLineage, ...absorbedLineage], known) }]
  })
}
