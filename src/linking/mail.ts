import { findConnection } from '../connections/connection.ts'
import type { StoredEvent } from '../events/event.ts'
import { toLocale } from '../http/i18n.ts'
import type { Mail } from '../mail/mailer.ts'
import { type MemberMailDeps, noticeMail } from '../members/mail.ts'

/** Tells the member, at the address they have, that an account was linked or unlinked. */
export async function linkingMail(
  deps: Pick<MemberMailDeps, 'db' | 'issuer'>,
  event: StoredEvent,
): Promise<Mail | undefined> {
  if ((event.type !== 'identity.linked' && event.type !== 'identity.unlinked') || !event.memberId)
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
  const template = event.type === 'identity.linked' ? 'identity-linked' : 'identity-unlinked'
  return noticeMail(deps, event, template, {
    connectionName: connection.name[locale],
    displayName: typeof account === 'string' ? account : undefined,
  })
}
