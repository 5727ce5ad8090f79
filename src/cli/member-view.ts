import { findEmail } from '../members/contact-point.ts'
import type { Db } from '../store/db.ts'
import { isRowId } from '../store/row-id.ts'
import { moment } from './output.ts'

/** By member ID or e-mail address. Nothing that would let its reader in is part of it. */
export async function findMember(db: Db, given: string, now: Date) {
  const id = isRowId(given.toLowerCase()) ? given.toLowerCase() : (await findEmail(db, given))?.memberId
  const row =
    id &&
    (await db.member.findUnique({
      where: { id },
      include: {
        contactPoints: { orderBy: { verifiedAt: 'asc' } },
        password: { select: { changedAt: true } },
        identities: { orderBy: { linkedAt: 'asc' } },
        grants: { orderBy: { createdAt: 'asc' } },
      },
    }))
  if (!row) return undefined
  return {
    id: row.id,
    status: row.status,
    name: row.name,
    emails: row.contactPoints.map(({ value }) => value),
    passwordChangedAt: row.password?.changedAt ?? null,
    linkedAccounts: row.identities.map(
      ({ connectionId, issuer, subject, linkedAt, lastUsedAt, needsRelinkSince }) => ({
        connection: connectionId,
        issuer,
        subject,
        linkedAt,
        lastUsedAt,
        needsRelinkSince,
      }),
    ),
    services: row.grants
      .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
      .map(({ clientId, createdAt, lastUsedAt }) => ({ clientId, since: createdAt, lastUsedAt })),
    sessionsValidFrom: row.sessionsValidFrom,
    createdAt: row.createdAt,
  }
}
export type MemberView = NonNullable<Awaited<ReturnType<typeof findMember>>>

/** The lines that describe a member to people. */
export function memberParts(
  member: MemberView,
): (readonly [string, string | readonly string[] | undefined])[] {
  return [
    ['id', member.id],
    ['status', member.status],
    ['name', member.name ?? undefined],
    ['e-mail', member.emails],
    ['password', member.passwordChangedAt ? `set ${moment(member.passwordChangedAt)}` : 'none'],
    [
      'linked accounts',
      member.linkedAccounts.map(
        ({ connection, subject, linkedAt, needsRelinkSince }) =>
          `${connection} ${subject}, linked ${moment(linkedAt)}${needsRelinkSince ? `, needs relinking since ${moment(needsRelinkSince)}` : ''}`,
      ),
    ],
    [
      'services',
      member.services.map(
        ({ clientId, since, lastUsedAt }) =>
          `${clientId}, since ${moment(since)}${lastUsedAt ? `, last used ${moment(lastUsedAt)}` : ''}`,
      ),
    ],
    ['sessions from', moment(member.sessionsValidFrom)],
    ['registered', moment(member.createdAt)],
  ]
}
