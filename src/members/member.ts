import { recordEvent } from '../events/outbox.ts'
import type { Tx } from '../store/db.ts'
import type { Member } from '../store/generated/client.ts'
import { normalizeEmail } from './contact-point.ts'

export interface NewMember {
  name: string
  /** Proved: a code sent to it came back, or a trusted upstream vouched for it. */
  email: string | undefined
  passwordHash: string | undefined
  locale: string
  connectionId?: string
}

/** Creates a member with everything that makes one; rejects with a unique violation when the address is taken. */
export async function createMember(
  tx: Tx,
  { name, email, passwordHash, locale, connectionId }: NewMember,
  now: Date,
): Promise<Member> {
  const member = await tx.member.create({
    data: {
      name,
      locale,
      createdAt: now,
      updatedAt: now,
      sessionsValidFrom: now,
      ...(email && {
        contactPoints: {
          create: {
            kind: 'email',
            value: email,
            normalized: normalizeEmail(email),
            isPrimary: true,
            verifiedAt: now,
          },
        },
      }),
      ...(passwordHash && { password: { create: { hash: passwordHash, changedAt: now } } }),
    },
  })
  const data = connectionId ? { via: 'connection' as const, connectionId } : { via: 'password' as const }
  await recordEvent(tx, { type: 'member.registered', memberId: member.id, data }, now)
  return member
}

/** A member who may act: suspended members are as if they were not there. */
export async function findActiveMember(tx: Tx, memberId: string): Promise<Member | undefined> {
  const member = await tx.member.findUnique({ where: { id: memberId } })
  return member?.status === 'active' ? member : undefined
}

/** Holds the member until the transaction ends: whatever counts or compares a member's things goes through here first. */
export async function lockMember(tx: Tx, memberId: string): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM "Member" WHERE "id" = ${memberId}::uuid FOR UPDATE`
}

/** Session times are whole seconds; a session of the very second in which sessions were ended counts as new. */
export function isSessionEnded(member: Member, signedInAt: Date): boolean {
  return signedInAt.getTime() < Math.floor(member.sessionsValidFrom.getTime() / 1000) * 1000
}

/** Ends every session that began before now, in every browser. */
export async function endSessions(
  tx: Tx,
  memberId: string,
  reason: 'member' | 'password_changed',
  now: Date,
): Promise<void> {
  await tx.member.update({ where: { id: memberId }, data: { sessionsValidFrom: now } })
  await recordEvent(tx, { type: 'sessions.ended', memberId, data: { reason } }, now)
}
