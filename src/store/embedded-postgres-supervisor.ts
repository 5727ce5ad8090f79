import {
  isPostmaster,
  type Postmaster,
  signalPostmaster,
  stopPostmaster,
} from './embedded-postgres-process.ts'

interface Supervised {
  data: string
  log: (message: string) => void
  /** Brings up another server under the same address. */
  restart: () => Promise<Postmaster>
}

const lookEveryMilliseconds = 1000

/**
 * Starts the server again when it ends without having been told to, as often as that happens, until stopped. A
 * process that exits without stopping still begins the server's shutdown.
 */
export function supervise(server: Postmaster, { data, log, restart }: Supervised): { stop(): Promise<void> } {
  let { pid } = server
  let restarting: Promise<void> | undefined
  let stopped: Promise<void> | undefined

  const look = () => {
    if (restarting || isPostmaster(pid, data)) return
    log(`PostgreSQL ${pid} ended unexpectedly; it is started again`)
    restarting = restart()
      .then(
        (next) => {
          pid = next.pid
        },
        (error: Error) => log(error.message),
      )
      .finally(() => {
        restarting = undefined
      })
  }
  const timer = setInterval(look, lookEveryMilliseconds).unref()
  const onExit = () => signalPostmaster(pid, data, 'SIGINT')
  process.once('exit', onExit)

  const stop = async () => {
    clearInterval(timer)
    await restarting
    await stopPostmaster(pid, data, log)
    process.off('exit', onExit)
  }
  return {
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}
