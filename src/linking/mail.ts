import { findConnection } from '../connections/connection.ts'
import type { StoredEvent } from '../events/event.ts'
import { toLocale } from '../http/i18n.ts'
import type { Mail } from '../mail/mailer.ts'
import { type MemberMailDeps, noticeMail } from '../members/mail.ts'

/** Tells the member, at the address they have, what became of a link, or that they are asked about it again. */
export async function linkingMail(
  deps: Pick<MemberMailDeps, 'db' | 'issuer'>,
  event: StoredEvent,
): Promise<Mail | undefined> {
  const template = templateOf(event)
  if (!template || !event.memberId || !('connectionId' in event.data) || !event.data.connectionId)
    return undefined
  const { connectionId } = event.data
  const [connection, member, consent] = await Promise.all([
    findConnection(deps.db, connectionId),
    deps.db.member.findUnique({ where: { id: event.memberId } }),
    deps.db.linkConsent.findFirst({
      where: { memberId: event.memberId, connectionId, agreedAt: { lte: event.occurredAt } },
      orderBy: { agreedAt: 'desc' },
    }),
  ])
  if (!connection) return undefined
  const locale = toLocale(member?.locale ?? undefined) ?? 'ja'
  const shown = consent?.shown
  const account = shown && typeof shown === 'object' && 'account' in shown ? shown.account : undefined
  return noticeMail(deps, event, template, {
    connectionName: connection.name[locale],
    displayName: typeof account === 'string' ? account : undefined,
    consentsUrl: `${deps.issuer}/account/consents`,
  })
}

function templateOf({ type, data }: StoredEvent): string | undefined {
  switch (type) {
    case 'identity.linked':
      // Whoever runs a list decides what its members are told.
      return data.way === 'import' ? undefined : 'identity-linked'
    case 'identity.unlinked':
      return 'identity-unlinked'
    case 'link.reconsent_required':
      return 'reconsent-required'
    case 'identity.moved':
      return 'identity-moved'
    case 'identity.moved_away':
      return 'identity-moved-away'
    case 'link.conflict_decided':
      // Who left it as it was knows; who waits for an operator's word gets it, and what was done has a mail of its own.
      return data.by !== 'member' && data.outcome !== 'moved' && data.outcome !== 'merged'
        ? 'conflict-kept'
        : undefined
    default:
      return undefined
  }
}
