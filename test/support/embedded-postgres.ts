import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client, type QueryResultRow } from 'pg'
import { onTestFinished } from 'vitest'
import { findPostmaster, stopPostmaster } from '../../src/store/embedded-postgres-process.ts'

/**
 * An empty folder of the test's own, or the name of a missing one below it; whatever server is left there is ended
 * with the test. Nobody but its owner may enter the folder.
 */
export async function postgresFolder(below = ''): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hitotsu-postgres-'))
  const folder = join(made, below)
  onTestFinished(async () => {
    const left = findPostmaster(join(folder, 'data'))
    if (left) await stopPostmaster(left.pid, join(folder, 'data'), () => undefined)
    await rm(made, { recursive: true, force: true })
  })
  return folder
}

export interface OwnerProcess {
  process: ChildProcess
  /** The next line it says. */
  says(): Promise<{ url: string; owned: boolean; pid: number; error?: string; drained?: boolean }>
  tell(line: string): void
  kill(): Promise<void>
  ended: Promise<unknown>
}

interface OwnerOptions {
  flags?: string[]
  account?: { uid: number; gid: number }
  /** A command that runs the one that follows it. */
  through?: string[]
}

/** Another process that opens the folder, as another user if told so; it never outlives this one. */
export function startOwner(
  folder: string,
  { flags = [], account, through = [] }: OwnerOptions = {},
): OwnerProcess {
  const script = fileURLToPath(new URL('./embedded-postgres-process.ts', import.meta.url))
  const [program = '', ...args] = [...through, process.execPath, script, folder, ...flags]
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    ...account,
  })
  const ended = once(child, 'exit')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  return {
    process: child,
    says: async () => JSON.parse((await lines.next()).value ?? '{}'),
    tell: (line) => child.stdin.write(`${line}\n`),
    kill,
    ended,
  }
}

/** The rows a statement gives on a connection of its own. */
export async function query<Row extends QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new Client(url)
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}
