import { type Db, noteChange, type Tx } from '../store/db.ts'
import { changesOf } from './changes.ts'
import {
  type DomainEvent,
  type EventType,
  isOrdered,
  type SinkName,
  type StoredEvent,
  sinkNames,
  sinksOf,
} from './event.ts'

/** A delivery is claimed for this long; a process that dies in the middle of one leaves it to the others after that. */
const leaseSeconds = 60
/** Waits between tries, in seconds: about a day in all, after which the delivery is parked for an operator. */
const backoffSeconds = [1, 5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800]

export interface Claim {
  sink: SinkName
  position: bigint
  attempts: number
  event: StoredEvent
}

/** Writes what happened in the caller's transaction: it is told exactly when the change itself is kept. */
export async function recordEvent(tx: Tx, event: DomainEvent, now: Date): Promise<void> {
  const { type, memberId, data } = event
  await tx.event.create({
    data: {
      type,
      memberId: memberId ?? null,
      data,
      occurredAt: now,
      deliveries: {
        create: sinksOf(type).map((sink) => ({ ...deliveryTo(sink, memberId), nextAttemptAt: now })),
      },
    },
  })
  for (const change of changesOf(event)) noteChange(tx, change)
}

/** The same for what happened to many at once, in two statements however many they are. */
export async function recordEvents(tx: Tx, events: readonly DomainEvent[], now: Date): Promise<void> {
  const rows = await tx.event.createManyAndReturn({
    data: events.map(({ type, memberId, data }) => ({
      type,
      memberId: memberId ?? null,
      data,
      occurredAt: now,
    })),
    select: { position: true, type: true, memberId: true },
  })
  await tx.delivery.createMany({
    data: rows.flatMap(({ position, type, memberId }) =>
      sinksOf(type as EventType).map((sink) => ({
        ...deliveryTo(sink, memberId),
        eventPosition: position,
        nextAttemptAt: now,
      })),
    ),
  })
  for (const change of events.flatMap(changesOf)) noteChange(tx, change)
}

/** A delivery without a member waits for no other. */
function deliveryTo(sink: SinkName, memberId: string | null | undefined) {
  return { sink, memberId: (isOrdered(sink) && memberId) || null }
}

/**
 * Claims due deliveries for this process. An event of a member is not claimed while an earlier one of that member is
 * still on its way to the same sink, so each ordered sink sees them in order; a parked one no longer blocks.
 */
export async function claimDeliveries(
  db: Db,
  now: Date,
  limit: number,
  sinks: readonly SinkName[] = sinkNames,
): Promise<Claim[]> {
  const leasedUntil = new Date(now.getTime() + leaseSeconds * 1000)
  const rows = await db.$queryRaw<{ sink: SinkName; eventPosition: bigint; attempts: number }[]>`
    UPDATE "Delivery" SET "nextAttemptAt" = ${leasedUntil}, "attempts" = "attempts" + 1
    WHERE ("sink", "eventPosition") IN (
      SELECT d."sink", d."eventPosition" FROM "Delivery" d
      WHERE d."nextAttemptAt" <= ${now} AND d."parkedAt" IS NULL AND d."sink" = ANY(${sinks}) AND NOT EXISTS (
        SELECT 1 FROM "Delivery" earlier
        WHERE earlier."sink" = d."sink" AND earlier."memberId" = d."memberId"
          AND earlier."eventPosition" < d."eventPosition" AND earlier."parkedAt" IS NULL)
      ORDER BY d."eventPosition" LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING "sink", "eventPosition", "attempts"`
  const events = await db.event.findMany({
    where: { position: { in: rows.map((row) => row.eventPosition) } },
  })
  const byPosition = new Map(events.map((event) => [event.position, event]))
  return rows.flatMap(({ sink, eventPosition, attempts }) => {
    const event = byPosition.get(eventPosition)
    // The outbox is written through recordEvent alone, so a stored row has the shape of its type.
    return event ? [{ sink, position: eventPosition, attempts, event: event as unknown as StoredEvent }] : []
  })
}

export async function completeDelivery(db: Db, { sink, position }: Claim): Promise<void> {
  await db.delivery.deleteMany({ where: { sink, eventPosition: position } })
}

/** Puts a failed delivery back for later, or parks it when its tries are used up. True when parked. */
export async function postponeDelivery(db: Db, claim: Claim, error: unknown, now: Date): Promise<boolean> {
  const wait = backoffSeconds[claim.attempts - 1]
  await db.delivery.updateMany({
    where: { sink: claim.sink, eventPosition: claim.position },
    data: {
      lastError: String(error).slice(0, 500),
      ...(wait === undefined ? { parkedAt: now } : { nextAttemptAt: new Date(now.getTime() + wait * 1000) }),
    },
  })
  return wait === undefined
}
