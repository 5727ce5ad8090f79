import type { SessionsEndedBecause } from '../events/event.ts'
import { recordEvent, recordEvents } from '../events/outbox.ts'
import type { Tx } from '../store/db.ts'
import type { Member, MemberStatus } from '../store/generated/client.ts'
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
      sessionsValidFrom: startOfSecond(now),
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

/** A member who may act: one who is suspended, deleted or absorbed is as if not there. */
export async function findActiveMember(tx: Tx, memberId: string): Promise<Member | undefined> {
  const member = await tx.member.findUnique({ where: { id: memberId } })
  return member?.status === 'active' ? member : undefined
}

/** Holds the member until the transaction ends: whatever counts or compares a member's things goes through here first. */
export async function lockMember(
  tx: Tx,
  memberId: string,
): Promise<{ status: MemberStatus; sessionsValidFrom: Date } | undefined> {
  const [held] = await tx.$queryRaw<{ status: MemberStatus; sessionsValidFrom: Date }[]>`
    SELECT "status"::text, "sessionsValidFrom" FROM "Member" WHERE "id" = ${memberId}::uuid FOR UPDATE`
  return held
}

/** The same for several, always in the order of their ids, so that of two who hold the same members none waits in vain. */
export async function lockMembers(
  tx: Tx,
  memberIds: readonly string[],
): Promise<Map<string, { status: MemberStatus; sessionsValidFrom: Date }>> {
  const held = await tx.$queryRaw<{ id: string; status: MemberStatus; sessionsValidFrom: Date }[]>`
    SELECT "id"::text, "status"::text, "sessionsValidFrom" FROM "Member" WHERE "id" = ANY(${memberIds}::uuid[])
    ORDER BY "id" FOR UPDATE`
  return new Map(held.map(({ id, ...member }) => [id, member]))
}

/** In seconds, as sessions and tokens keep their times: one that began in this second or later counts. */
export function sessionsValidFrom({ sessionsValidFrom }: Pick<Member, 'sessionsValidFrom'>): number {
  return sessionsValidFrom.getTime() / 1000
}

export function isSessionEnded(
  { sessionsValidFrom }: Pick<Member, 'sessionsValidFrom'>,
  signedInAt: Date,
): boolean {
  return signedInAt < sessionsValidFrom
}

/** Ends every session that has begun so far, in every browser. */
export async function endSessions(
  tx: Tx,
  memberId: string,
  reason: SessionsEndedBecause,
  now: Date,
): Promise<void> {
  await endSessionsOf(tx, [memberId], { reason }, now)
}

/**
 * The same for many. Sessions count again from the second after the last sign-in, which may have come after `now`, as
 * when this transaction had to wait; who signs in before that second has come is dated there.
 */
export async function endSessionsOf(
  tx: Tx,
  memberIds: readonly string[],
  because: { reason: SessionsEndedBecause; connectionId?: string },
  now: Date,
): Promise<void> {
  // Held first, by a statement of its own: the next one then sees the sign-ins it had to wait for.
  await tx.$queryRaw`
    SELECT 1 FROM "Member" WHERE "id" = ANY(${memberIds}::uuid[]) ORDER BY "id" FOR UPDATE`
  await tx.$executeRaw`
    UPDATE "Member" m SET "sessionsValidFrom" = interval '1 second' + date_trunc('second',
      GREATEST(m."sessionsValidFrom", ${now}, (
        SELECT e."occurredAt" FROM "Event" e WHERE e."memberId" = m."id" AND e."type" = 'member.signed_in'
        ORDER BY e."position" DESC LIMIT 1)))
    WHERE m."id" = ANY(${memberIds}::uuid[])`
  const events = memberIds.map((memberId) => ({ type: 'sessions.ended', memberId, data: because }) as const)
  await recordEvents(tx, events, now)
}

function startOfSecond(moment: Date): Date {
  return new Date(Math.floor(moment.getTime() / 1000) * 1000)
}
