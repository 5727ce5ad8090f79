import type { StoredEvent } from '../events/event.ts'
import { toLocale } from '../http/i18n.ts'
import type { Mail } from '../mail/mailer.ts'
import type { Db } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { findEmail, primaryEmail } from './contact-point.ts'
import { codeTtlSeconds, type EmailCodes } from './email-code.ts'
import { findRecovery } from './recovery.ts'
import { findRegistration } from './registration.ts'

export interface MemberMailDeps {
  db: Db
  store: Ephemeral
  codes: EmailCodes
  issuer: string
}

const minutes = codeTtlSeconds / 60

/** The mail an event of this feature asks for. Codes are made here, when they are sent, and are nowhere else in clear. */
export async function memberMail(deps: MemberMailDeps, event: StoredEvent): Promise<Mail | undefined> {
  switch (event.type) {
    case 'registration.code_requested':
      return registrationMail(deps, event.data.registrationId, event.id)
    case 'recovery.code_requested':
      return recoveryMail(deps, event.data.recoveryId, event.id)
    case 'member.registered':
      return noticeMail(deps, event, 'member-registered')
    case 'password.changed':
      return noticeMail(deps, event, 'password-changed')
    default:
      return undefined
  }
}

async function registrationMail(
  { db, store, codes, issuer }: MemberMailDeps,
  registrationId: string,
  id: string,
): Promise<Mail | undefined> {
  const pending = await findRegistration(store, registrationId)
  if (!pending) return undefined
  const { email: to, locale: tag } = pending
  const locale = toLocale(tag) ?? 'ja'
  if (await findEmail(db, to))
    return { id, to, locale, template: 'already-registered', model: { signInUrl: `${issuer}/account` } }
  return {
    id,
    to,
    locale,
    template: 'verify-email',
    model: { code: await codes.issue(registrationId), minutes },
  }
}

async function recoveryMail(
  { db, store, codes }: MemberMailDeps,
  recoveryId: string,
  id: string,
): Promise<Mail | undefined> {
  const pending = await findRecovery(store, recoveryId)
  if (!pending) return undefined
  const { email: to, locale: tag } = pending
  const locale = toLocale(tag) ?? 'ja'
  if (!(await findEmail(db, to))) return { id, to, locale, template: 'no-account', model: {} }
  return {
    id,
    to,
    locale,
    template: 'reset-password',
    model: { code: await codes.issue(recoveryId), minutes },
  }
}

/** A notice to the member of something that was done with their account, at the address they have if no other is given. */
export async function noticeMail(
  { db, issuer }: Pick<MemberMailDeps, 'db' | 'issuer'>,
  event: StoredEvent,
  template: string,
  model: Record<string, unknown> = {},
  address?: string,
): Promise<Mail | undefined> {
  if (!event.memberId) return undefined
  const [to, member] = await Promise.all([
    address ?? primaryEmail(db, event.memberId),
    db.member.findUnique({ where: { id: event.memberId } }),
  ])
  if (!to || !member) return undefined
  const locale = toLocale(member.locale ?? undefined) ?? 'ja'
  const at = new Intl.DateTimeFormat(locale, {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: 'Asia/Tokyo',
  }).format(event.occurredAt)
  return { id: event.id, to, locale, template, model: { at, accountUrl: `${issuer}/account`, ...model } }
}
