import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { fileURLToPath } from 'node:url'

export interface Usage {
  cpuMs: number
  rssMb: number
}

export interface ServerProcess {
  usage(): Promise<Usage>
  /** From here to `endProfile`, which writes to this file what the process spent its time on. */
  beginProfile(): Promise<void>
  endProfile(file: string): Promise<void>
  stop(): Promise<void>
}

/** A server in a process of its own, set up by what it is sent; what it prints goes nowhere. It never outlives this one. */
export async function startProcess(script: string, setup: object): Promise<ServerProcess> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
    // Libraries read it, whatever the server's own settings say.
    env: { ...process.env, NODE_ENV: 'production' },
  })
  await answer(child, setup)
  return {
    usage: () => answer<Usage>(child, { ask: 'usage' }),
    beginProfile: () => answer(child, { ask: 'beginProfile' }),
    endProfile: (file) => answer(child, { ask: 'endProfile', file }),
    stop: async () => {
      const exited = once(child, 'exit')
      child.send({ ask: 'stop' })
      await exited
    },
  }
}

function answer<T>(child: ChildProcess, message: object): Promise<T> {
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

type Question = { ask: 'usage' | 'beginProfile' | 'stop' } | { ask: 'endProfile'; file: string }

/** The other end: starts on the first message, then does what it is asked, until it is told to stop. */
export function runProcess<Setup>(start: (setup: Setup) => Promise<() => Promise<void>>): void {
  const inspector = new Session()
  process.once('disconnect', () => process.exit())
  process.once('message', async (setup) => {
    const stop = await start(setup as Setup)
    process.on('message', async (question: Question) => {
      if (question.ask === 'stop') return stop().finally(() => process.exit())
      process.send?.((await reply(inspector, question)) ?? {})
    })
    process.send?.({})
  })
}

async function reply(inspector: Session, question: Question): Promise<object | undefined> {
  switch (question.ask) {
    case 'beginProfile':
      inspector.connect()
      await inspector.post('Profiler.enable')
      await inspector.post('Profiler.start')
      return undefined
    case 'endProfile': {
      const { profile } = await inspector.post('Profiler.stop')
      inspector.disconnect()
      await writeFile(question.file, JSON.stringify(profile))
      return undefined
    }
    default:
      return usage()
  }
}

function usage(): Usage {
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1000, rssMb: process.memoryUsage.rss() / 2 ** 20 }
}
