import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export interface Postmaster {
  pid: number
  port: number
}

/**
 * The running server of exactly this data folder. A process id alone proves nothing, since ids are used again:
 * the process must have been started as `postgres -D <this folder>`.
 */
export function findPostmaster(data: string): Postmaster | undefined {
  const lines = readPidFile(data)
  const [pid, port] = [Number(lines[0]), Number(lines[3])]
  return Number.isSafeInteger(pid) && isPostmaster(pid, data) ? { pid, port } : undefined
}

export function isPostmaster(pid: number, data: string): boolean {
  const [program = '', flag, folder] = commandLine(pid)
  return basename(program) === 'postgres' && flag === '-D' && folder === data
}

/**
 * Lets a new server start when the file of a dead one names a process id that lives again as something else.
 * PostgreSQL disregards the id of its own parent, which is what is put there; the rest of the file stays, so that
 * PostgreSQL can still see whether anything of the dead server uses the folder.
 */
export function disownPidFile(data: string): void {
  const lines = readPidFile(data)
  if (lines.length > 1) writeFileSync(pidFile(data), [process.pid, ...lines.slice(1)].join('\n'))
}

/** Ends the server in order; one that does not answer to that is ended harder, never half. */
export async function stopPostmaster(
  pid: number,
  data: string,
  log: (message: string) => void,
): Promise<void> {
  const steps = [
    { signal: 'SIGINT', patience: 30_000 },
    { signal: 'SIGQUIT', patience: 10_000 },
    { signal: 'SIGKILL', patience: 10_000 },
  ] as const
  for (const { signal, patience } of steps) {
    signalPostmaster(pid, data, signal)
    // A frozen process takes no signal but this one until it runs again.
    signalPostmaster(pid, data, 'SIGCONT')
    const deadline = AbortSignal.timeout(patience)
    while (!deadline.aborted) {
      if (!isPostmaster(pid, data)) return
      await pause(20)
    }
    log(`PostgreSQL ${pid} did not end on ${signal}`)
  }
  throw new Error(`PostgreSQL ${pid} cannot be ended`)
}

/** False when there is no such server any more. Nothing else is ever signalled. */
export function signalPostmaster(pid: number, data: string, signal: NodeJS.Signals): boolean {
  return isPostmaster(pid, data) && process.kill(pid, signal)
}

function pidFile(data: string): string {
  return join(data, 'postmaster.pid')
}

function readPidFile(data: string): string[] {
  try {
    return readFileSync(pidFile(data), 'utf8').split('\n')
  } catch {
    return []
  }
}

/** Empty for a process that has ended, also when nobody has collected it yet. */
function commandLine(pid: number): string[] {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const command = execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
    // ps joins the arguments with spaces; ours are split where the options that follow the folder begin.
    const [, program = '', folder = ''] = /^(.*\/postgres) -D (.*?) -p \d+ /.exec(command) ?? []
    return [program, '-D', folder]
  } catch {
    return []
  }
}
