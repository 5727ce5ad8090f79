import type { Db } from '../../store/db.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { requireRenewals } from './renewal.ts'

const intervalMs = 600_000

/** Looks every ten minutes which agreements have run out, and which terms have come into force. */
export function watchConsents({ db, now, log }: { db: Db; now: () => Date; log: Logger }): {
  stop(): Promise<void>
} {
  const look = async () => {
    const marked = await requireRenewals(db, now()).catch((err: unknown) => {
      log.warn({ err }, 'agreements could not be looked through')
      return 0
    })
    if (marked > 0) log.info({ marked }, 'agreements have to be renewed')
  }
  let running = look()
  const timer = setInterval(() => {
    running = running.then(look)
  }, intervalMs)
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
