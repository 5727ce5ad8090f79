import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Usage {
  cpuMs: number
  rssMb: number
}

export interface ServerProcess {
  usage(): Promise<Usage>
  stop(): Promise<void>
}

/** A server in a process of its own, set up by what it is sent; what it prints goes nowhere. It never outlives this one. */
export async function startProcess(
  script: string,
  setup: object,
  execArgv: string[] = [],
): Promise<ServerProcess> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
    // Libraries read it, whatever the server's own settings say.
    env: { ...process.env, NODE_ENV: 'production' },
  })
  await answer(child, setup)
  return {
    usage: () => answer<Usage>(child, 'usage'),
    stop: async () => {
      const exited = once(child, 'exit')
      child.send('stop')
      await exited
    },
  }
}

function answer<T>(child: ChildProcess, message: object | string): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('the server process has ended'))
    child.once('exit', gone)
    child.once('message', (reply) => {
      child.off('exit', gone)
      resolve(reply as T)
    })
    child.send(message)
  })
}

/** The other end: starts on the first message, then tells what it has used, until it is told to stop. */
export function runProcess<Setup>(start: (setup: Setup) => Promise<() => Promise<void>>): void {
  process.once('message', async (setup) => {
    const stop = await start(setup as Setup)
    process.on('message', async (message) => {
      if (message === 'usage') process.send?.(usage())
      else await stop().finally(() => process.exit())
    })
    process.once('disconnect', () => process.exit())
    process.send?.('started')
  })
}

function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1000, rssMb: process.memoryUsage.rss() / 2 ** 20 }
}
