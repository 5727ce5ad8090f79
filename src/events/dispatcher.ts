import type { Db } from '../store/db.ts'
import type { Logger } from '../telemetry/logger.ts'
import { lanes, type SinkName, type StoredEvent } from './event.ts'
import { type Claim, claimDeliveries, completeDelivery, postponeDelivery } from './outbox.ts'

/** Takes one event. May see it again: what it does must bear that. Rejecting means "try later". */
export type Sink = (event: StoredEvent) => Promise<void>

export interface DispatcherOptions {
  db: Db
  sinks: Record<SinkName, Sink>
  now: () => Date
  log: Logger
  /** How long to rest when there was nothing to do. */
  idleMs?: number
}

export interface Dispatcher {
  /** Delivers what is due now and resolves when nothing is. */
  drain(): Promise<void>
  /** Lets what is in hand finish; nothing more is claimed. */
  stop(): Promise<void>
}

const batchSize = 20

/**
 * Delivers each event to each of its sinks at least once, in order per member. Any number of processes may run one;
 * whatever a dead one had claimed is delivered by another after its lease.
 */
export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const running = lanes.map((lane) => startLane(options, lane))
  return {
    async drain() {
      // What one lane delivers may be the reason for something in another.
      for (;;) {
        const delivered = await Promise.all(running.map(({ step }) => step()))
        if (delivered.every((count) => count === 0)) return
      }
    },
    async stop() {
      await Promise.all(running.map(({ stop }) => stop()))
    },
  }
}

interface Lane {
  /** Delivers some of what is due; resolves with how many those were. */
  step(): Promise<number>
  stop(): Promise<void>
}

function startLane(
  { db, sinks, now, log, idleMs = 500 }: DispatcherOptions,
  lane: readonly SinkName[],
): Lane {
  let stopped = false
  let wake = () => {}

  const deliver = async (claim: Claim) => {
    try {
      await sinks[claim.sink](claim.event)
      await completeDelivery(db, claim)
    } catch (error) {
      const parked = await postponeDelivery(db, claim, error, now())
      const record = { sink: claim.sink, eventId: claim.event.id, attempts: claim.attempts, err: error }
      if (parked) log.error(record, 'event parked: every try failed')
      else log.warn(record, 'event not delivered yet')
    }
  }

  const claimAndDeliver = async (): Promise<number> => {
    const claims = await claimDeliveries(db, now(), batchSize, lane)
    await Promise.all(claims.map(deliver))
    return claims.length
  }
  // One after the other: whoever drains also waits for what the loop has in hand.
  let latest: Promise<unknown> = Promise.resolve()
  const step = (): Promise<number> => {
    const result = latest.then(claimAndDeliver, claimAndDeliver)
    latest = result
    return result
  }

  const run = async () => {
    while (!stopped) {
      const delivered = await step().catch((error: unknown) => {
        log.warn({ err: error }, 'dispatcher could not reach the outbox')
        return 0
      })
      if (delivered === 0 && !stopped) await rest(idleMs, (resume) => (wake = resume))
    }
  }
  const running = run()

  return {
    step,
    async stop() {
      stopped = true
      wake()
      await running
    },
  }
}

function rest(ms: number, onStart: (resume: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    onStart(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
