/** What is counted of a link in progress, from the first press on (`linking/way.ts`). */
type LinkTrail = { connectionId: string; way: string; clientId?: string; campaignId?: string }

/**
 * Everything that can happen, and what is told about it. Closed: a new fact gets a line here. Data holds ids, never
 * personal data or secrets, because the audit trail keeps it.
 */
export interface EventData {
  'member.registered': { via: 'password' | 'connection'; connectionId?: string }
  'member.signed_in': { amr: readonly string[]; connectionId?: string; clientId?: string }
  'member.sign_in_failed': { reason: 'wrong_password' }
  'member.profile_changed': { claims: readonly string[] }
  'member.suspended': { by: 'operator'; reason?: string }
  'member.reactivated': { by: 'operator' }
  'member.deleted': { by: 'operator' }
  'password.changed': { by: 'member' | 'recovery' }
  'sessions.ended': { reason: SessionsEndedBecause; connectionId?: string }
  /** A relying party's session of the member is over; `sid` is its name there. */
  'session.logged_out': { clientId: string; sid: string }
  'registration.code_requested': { registrationId: string }
  'recovery.code_requested': { recoveryId: string }
  /** `restored`: the same member had it linked before, under the same id. */
  'identity.linked': LinkTrail & {
    identityId: string
    consentId: string
    purpose: 'link' | 'sign_in'
    restored?: boolean
  }
  'identity.unlinked': { connectionId: string; identityId: string; reason: string }
  /** The same link, whose upstream stands behind it no more, or again. */
  'identity.relink_required': { connectionId: string; identityId: string; reason: string }
  'identity.relinked': LinkTrail & { identityId: string; consentId?: string }
  /** An account went from one member to another, who had proved to hold it; the event is of the one who has it now. */
  'identity.moved': LinkTrail & { identityId: string; fromMemberId: string; conflictId: string }
  /** The same, of the one who had it. */
  'identity.moved_away': { connectionId: string; identityId: string; toMemberId: string; conflictId: string }
  /** `shown`: of how many showings this is the record, where those to strangers are so many that not each has one. */
  'link.prompted': LinkTrail & { shown?: number }
  'link.started': LinkTrail
  'link.proved': LinkTrail
  'link.conflict_found': LinkTrail & { conflictId: string }
  /** Somebody who claims an account of this member has signed in as the member, to decide about it. */
  'link.owner_proved': { connectionId: string; conflictId: string; through: string }
  'link.conflict_raised': { connectionId: string; conflictId: string }
  /** Of each of the two, a dismissal of the claimant alone; `by` is `member`, or the operator's name. */
  'link.conflict_decided': { connectionId: string; conflictId: string; outcome: string; by: string }
  'link.consented': LinkTrail & { consentId: string }
  'connection_terms.published': { connectionId: string; version: string }
  'link.reconsent_required': { connectionId: string; identityId: string; consentId: string; reason: string }
  'link.reconsented': { connectionId: string; identityId: string; consentId: string }
  /** Without a connection where a forged address leads to none. `noticeId`: the upstream's word it came of. */
  'link.refused': Partial<LinkTrail> & { reason: string; noticeId?: string }
  'link.declined': LinkTrail
  /** The event is of the survivor. */
  'member.merged': { mergeId: string; absorbedId: string; by: string }
  /** The event is of the one who was absorbed, or is restored. */
  'member.absorbed': { mergeId: string; survivorId: string; by: string }
  'member.restored': { mergeId: string; survivorId: string; by: string }
  /** What a relying party that knew either calls the member from here on: member IDs, its `sub`s stand for them. */
  'subject.resolved': {
    clientId: string
    mergeId: string
    subjectId: string
    previousIds: readonly string[]
  }
  /** `undoId`: the member's own request, whose code is on its way. */
  'member.merge_undo_requested': { mergeId: string; by: string; reason?: string; undoId?: string }
  'member.merge_undone': { mergeId: string; absorbedId: string; by: string }
  /** `rewardId` is the idempotency key for whoever pays it out. */
  'reward.granted': {
    rewardId: string
    campaignId: string
    connectionId: string
    amount: number
    unit: string
  }
  'campaign.created': { campaignId: string; connectionId: string }
  'campaign.disabled': { campaignId: string; connectionId: string }
  /** The holder of a linked account gets messages of the official account, or has blocked it. */
  'friendship.started': { connectionId: string; identityId: string }
  'friendship.ended': { connectionId: string; identityId: string }
  'official_account.configured': { connectionId: string }
  'official_account.removed': { connectionId: string }
  'upstream.notified': { connectionId: string; noticeId: string }
  /** `event` is the upstream's word for what happened to the account. */
  'upstream.event_handled': {
    connectionId: string
    event: string
    reactions: readonly string[]
    identityId?: string
  }
  'upstream_token.handed_out': { clientId: string; connectionId: string; identityId: string }
  'grant.given': { clientId: string; scopes: readonly string[] }
  'grant.revoked': { clientId: string }
  'client.created': { clientId: string; profile: string; firstParty: boolean; by?: 'registration' }
  'client.updated': { clientId: string; profile: string; firstParty: boolean; by?: 'registration' }
  'client.deleted': { clientId: string; by: 'registration' }
  'client.secret_rotated': { clientId: string }
  'client.disabled': { clientId: string }
  'client.enabled': { clientId: string }
  'registration_token.created': { label: string }
  'registration_token.revoked': { label: string }
  'connection.created': { connectionId: string }
  'connection.updated': { connectionId: string; changed: readonly string[] }
  'connection.disabled': { connectionId: string }
  'connection.enabled': { connectionId: string }
  'resource.created': { resourceId: string }
  'resource.disabled': { resourceId: string }
  'resource.enabled': { resourceId: string }
  'token.exchanged': { clientId: string; connectionId: string; identityId: string; scopes: readonly string[] }
  'signing_key.created': { kid: string; alg: string }
  'signing_key.retired': { kid: string; alg: string }
  'signing_key.destroyed': { kid: string; alg: string }
}

/** Whose doing it was that a member has to sign in again. */
export type SessionsEndedBecause =
  | 'member'
  | 'password_changed'
  | 'suspended'
  | 'upstream'
  | 'connection_disabled'
  | 'absorbed'
  | 'restored'
  | 'deleted'

export type EventType = keyof EventData

export type DomainEvent = { [T in EventType]: { type: T; memberId?: string; data: EventData[T] } }[EventType]

/** An event as a sink receives it. `id` is the same at every delivery: receivers deduplicate on it. */
export type StoredEvent = DomainEvent & { id: string; occurredAt: Date }

/**
 * Sinks of one lane share a pace: strangers' servers that are slow to answer must not keep the mail waiting, nor relying
 * parties the upstreams.
 */
export const lanes = [
  ['audit', 'mail'],
  ['upstream', 'notices', 'messaging'],
  ['backchannel_logout'],
] as const
export const sinkNames = lanes.flat()
export type SinkName = (typeof sinkNames)[number]

/** Its receivers are many, and one that is down for hours must not keep what the others are to hear of the same member. */
const unordered: readonly SinkName[] = ['backchannel_logout']

/** Whether a sink gets a member's events in the order in which they happened. */
export const isOrdered = (sink: SinkName) => !unordered.includes(sink)

const mailed: readonly EventType[] = [
  'member.registered',
  'registration.code_requested',
  'recovery.code_requested',
  'password.changed',
  'identity.linked',
  'identity.unlinked',
  'member.merged',
  'member.absorbed',
  'member.merge_undo_requested',
  'member.merge_undone',
  'member.restored',
  'identity.relink_required',
  'identity.relinked',
  'link.reconsent_required',
  'identity.moved',
  'identity.moved_away',
  'link.conflict_decided',
]

/** Of these, whoever talks to an official account is told in the talk, or finds another menu there. */
const talkedOf: readonly EventType[] = [
  'identity.linked',
  'identity.relinked',
  'identity.unlinked',
  'link.refused',
]

/** After these, relying parties are to be told. */
const endsSessions: readonly EventType[] = ['session.logged_out', 'sessions.ended', 'grant.revoked']

/** The sinks an event goes to: the audit trail takes all of them. */
export function sinksOf(type: EventType): SinkName[] {
  return [
    'audit',
    ...(mailed.includes(type) ? (['mail'] as const) : []),
    ...(type === 'identity.unlinked' ? (['upstream'] as const) : []),
    ...(type === 'upstream.notified' ? (['notices'] as const) : []),
    ...(talkedOf.includes(type) ? (['messaging'] as const) : []),
    ...(endsSessions.includes(type) ? (['backchannel_logout'] as const) : []),
  ]
}
