import type { Db } from '../store/db.ts'
import type { Sink } from './dispatcher.ts'

/** The audit trail: one row per event, however often it is delivered. Rows are only ever added. */
export function auditSink(db: Db, now: () => Date): Sink {
  return async ({ id, type, memberId, data, occurredAt }) => {
    await db.auditEntry.createMany({
      data: [{ eventId: id, type, memberId: memberId ?? null, data, occurredAt, writtenAt: now() }],
      skipDuplicates: true,
    })
  }
}
