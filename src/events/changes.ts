import type { Change } from '../store/db.ts'
import type { DomainEvent } from './event.ts'

/** What an event makes obsolete wherever it is remembered. */
export function changesOf({ type, memberId, data }: DomainEvent): Change[] {
  switch (type) {
    case 'grant.revoked':
      return [{ topic: 'grant', id: '*' }]
    case 'client.disabled':
    case 'client.deleted':
      return [
        { topic: 'client', id: data.clientId },
        { topic: 'grant', id: '*' },
      ]
    case 'client.created':
    case 'client.updated':
    case 'client.enabled':
    case 'client.secret_rotated':
      return [{ topic: 'client', id: data.clientId }]
    case 'connection.disabled':
    case 'connection.enabled':
      return [{ topic: 'connection', id: data.connectionId }]
    case 'resource.created':
    case 'resource.disabled':
    case 'resource.enabled':
      return [{ topic: 'resource', id: data.resourceId }]
    case 'signing_key.created':
    case 'signing_key.retired':
    case 'signing_key.destroyed':
      return [{ topic: 'keys', id: data.kid }]
    case 'member.suspended':
    case 'member.reactivated':
    case 'member.deleted':
    case 'member.profile_changed':
    case 'sessions.ended':
    case 'identity.linked':
    case 'identity.unlinked':
    case 'identity.relink_required':
    case 'identity.relinked':
    case 'link.reconsented':
      return memberId ? [{ topic: 'member', id: memberId }] : []
    case 'identity.moved':
      return [memberId, data.fromMemberId].flatMap((id) => (id ? [{ topic: 'member', id } as const] : []))
    case 'member.merged':
    case 'member.merge_undone':
      return [memberId, data.absorbedId].flatMap((id) => (id ? [{ topic: 'member', id } as const] : []))
    default:
      return []
  }
}
