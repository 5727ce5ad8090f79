import { findConnection } from '../connections/connection.ts'
import type { StoredEvent } from '../events/event.ts'
import { toLocale } from '../http/i18n.ts'
import type { Mail } from '../mail/mailer.ts'
import { type MemberMailDeps, noticeMail } from '../members/mail.ts'
import type { Sealer } from '../security/seal.ts'
import type { Db } from '../store/db.ts'
import { addressBefore, type EndOfLink, forgetAddress } from './unlink/end-link.ts'

/**
 * Tells the member what became of a link, or that they are asked about it again: at the address they have, but of its
 * end at the one they had when it ended.
 */
export async function linkingMail(
  deps: Pick<MemberMailDeps, 'db' | 'issuer'> & { sealer: Sealer },
  event: StoredEvent,
): Promise<Mail | undefined> {
  const template = templateOf(event)
  if (!template || !event.memberId || !('connectionId' in event.data) || !event.data.connectionId)
    return undefined
  const { connectionId } = event.data
  const [connection, member, consent] = await Promise.all([
    findConnection(deps.db, connectionId),
    deps.db.member.findUnique({ where: { id: event.memberId } }),
    findAgreement(deps.db, event),
  ])
  if (!connection) return undefined
  const end = endOf(event)
  const to = end && (await addressBefore(deps.db, deps.sealer, end))
  if (end && !to) return undefined
  const locale = toLocale(member?.locale ?? undefined) ?? 'ja'
  const shown = consent?.shown
  const account = shown && typeof shown === 'object' && 'account' in shown ? shown.account : undefined
  return noticeMail(
    deps,
    event,
    template,
    {
      connectionName: connection.name[locale],
      displayName: typeof account === 'string' ? account : undefined,
      consentsUrl: `${deps.issuer}/account/consents`,
    },
    to,
  )
}

/** What the member agreed to last about the account an event is about. */
async function findAgreement(db: Db, { memberId, occurredAt, data }: StoredEvent) {
  const id = 'identityId' in data ? data.identityId : undefined
  const account =
    id &&
    ((await db.federatedIdentity.findUnique({ where: { id } })) ??
      (await db.formerIdentity.findFirst({ where: { identityId: id } })))
  if (!memberId || !account) return null
  const { issuer, subject } = account
  return db.linkConsent.findFirst({
    where: { memberId, issuer, subject, agreedAt: { lte: occurredAt } },
    orderBy: { agreedAt: 'desc' },
  })
}

/** The mail an event asked for has gone: what was kept for it is kept no longer. */
export async function linkingMailSent(db: Db, event: StoredEvent): Promise<void> {
  const end = endOf(event)
  if (end) await forgetAddress(db, end)
}

const endOf = (event: StoredEvent): EndOfLink | undefined =>
  event.type === 'identity.unlinked'
    ? { identityId: event.data.identityId, unlinkedAt: event.occurredAt }
    : undefined

function templateOf({ type, data }: StoredEvent): string | undefined {
  switch (type) {
    case 'identity.linked':
      // Whoever runs a list decides what its members are told.
      if (data.way === 'import') return undefined
      return data.restored ? 'identity-relinked' : 'identity-linked'
    case 'identity.unlinked':
      return 'identity-unlinked'
    case 'identity.relink_required':
      return 'relink-required'
    case 'identity.relinked':
      return 'identity-relinked'
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
