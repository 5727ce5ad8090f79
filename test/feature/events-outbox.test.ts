import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditSink } from '../../src/events/audit.ts'
import type { DomainEvent, StoredEvent } from '../../src/events/event.ts'
import { recordEvent } from '../../src/events/outbox.ts'
import { createMember } from '../../src/members/member.ts'
import { inTransaction } from '../../src/store/db.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

const now = new Date('2026-04-01T00:00:00Z')
let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

const newMember = { name: 'Hanako', email: 'hanako@example.com', passwordHash: undefined, locale: 'ja' }

test('a change that is taken back leaves no event, and one that fails to be recorded is not made', async () => {
  const { db } = database
  const abandoned = inTransaction(db, async (tx) => {
    await createMember(tx, newMember, now)
    throw new Error('something else went wrong')
  })
  await expect(abandoned).rejects.toThrow('something else')
  const unrecorded = inTransaction(db, async (tx) => {
    const member = await tx.member.create({
      data: { name: 'x', locale: 'ja', createdAt: now, updatedAt: now, sessionsValidFrom: now },
    })
    const event: DomainEvent = {
      type: 'member.profile_changed',
      memberId: member.id,
      data: { claims: ['a\0b'] },
    }
    await recordEvent(tx, event, now)
  })
  await expect(unrecorded).rejects.toThrow()
  expect([await db.member.count(), await db.event.count(), await db.delivery.count()]).toEqual([0, 0, 0])
})

test('a change that is kept is recorded once, due at once for each of its sinks and no other', async () => {
  const { db } = database
  const member = await inTransaction(db, (tx) => createMember(tx, newMember, now))
  const events = await db.event.findMany({ include: { deliveries: { orderBy: { sink: 'asc' } } } })
  expect(events).toEqual([
    expect.objectContaining({
      type: 'member.registered',
      memberId: member.id,
      occurredAt: now,
      deliveries: ['audit', 'mail'].map((sink) =>
        expect.objectContaining({
          sink,
          memberId: member.id,
          nextAttemptAt: now,
          attempts: 0,
          parkedAt: null,
        }),
      ),
    }),
  ])
})

test('the audit trail has one row for an event, however often it is delivered, and keeps the first', async () => {
  const { db } = database
  const event: StoredEvent = {
    id: randomUUID(),
    type: 'connection.disabled',
    data: { connectionId: 'shop' },
    occurredAt: now,
  }
  const later = new Date(now.getTime() + 1000)
  await auditSink(db, () => now)(event)
  await Promise.all([auditSink(db, () => later)(event), auditSink(db, () => later)(event)])
  expect(await db.auditEntry.findMany({ where: { eventId: event.id } })).toEqual([
    {
      eventId: event.id,
      type: event.type,
      memberId: null,
      data: event.data,
      occurredAt: now,
      writtenAt: now,
    },
  ])
})
