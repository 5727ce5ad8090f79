import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { commandAs } from './embedded-postgres-account.ts'
import { comesReady, connectionUrl } from './embedded-postgres-answer.ts'
import { type PostgresFolder, readPassword, readPort, writePort } from './embedded-postgres-folder.ts'
import {
  disownPidFile,
  findPostmaster,
  isPostmaster,
  type Postmaster,
  stopPostmaster,
} from './embedded-postgres-process.ts'

type Log = (message: string) => void

const patienceMilliseconds = 10_000
const attempts = 20

/**
 * The server that an owner killed before its time left running: taken over when it serves (after replaying its
 * log, if it is at that), ended when it does not. Undefined when there is none to take over.
 */
export async function adoptServer(place: PostgresFolder, log: Log): Promise<Postmaster | undefined> {
  const orphan = findPostmaster(place.data)
  if (!orphan) return undefined
  const { pid, port } = orphan
  log(`PostgreSQL ${pid} of an earlier start is still running`)
  const url = connectionUrl(port, await readPassword(place), 'postgres')
  const running = () => isPostmaster(pid, place.data)
  if (await comesReady(url, { running, patienceMilliseconds })) return orphan
  await stopPostmaster(pid, place.data, log)
  return undefined
}

/**
 * Starts a server and waits until it serves: on the port that is asked for, else on the one it had before, or on
 * another when that was taken.
 */
export async function startServer(
  place: PostgresFolder,
  { log, fsync, port: fixed }: { log: Log; fsync: boolean; port?: number },
): Promise<Postmaster> {
  const password = await readPassword(place)
  let port = fixed ?? (await freePort(await readPort(place)))
  for (let attempt = 1; ; attempt++) {
    disownPidFile(place.data)
    const server = await launch(place, { port, fsync })
    const url = connectionUrl(port, password, 'postgres')
    if (await comesReady(url, { running: server.running, patienceMilliseconds })) {
      await writePort(place, port)
      return { pid: server.pid, port }
    }
    if (server.running()) {
      await stopPostmaster(server.pid, place.data, log)
      throw new Error(
        `PostgreSQL started in ${place.folder}, but does not answer to the password in that folder`,
      )
    }
    const said = (await readFile(logFile(place), 'utf8')).trim()
    // What an earlier server left takes a moment to go: its last processes, its port.
    const passing =
      /pre-existing shared memory block|could not create any TCP\/IP sockets|postmaster.pid/.test(said)
    if (!passing || attempt === attempts)
      throw new Error(`PostgreSQL did not start in ${place.folder}: ${said}`)
    port = fixed ?? (await freePort(port))
    await pause(500)
  }
}

async function launch(place: PostgresFolder, { port, fsync }: { port: number; fsync: boolean }) {
  await rm(logFile(place), { force: true })
  const output = await open(logFile(place), 'w', 0o600)
  const command = serverArguments(place.data, { port, fsync })
  const { file, args, options } = commandAs(place.account, place.binaries.postgres, command)
  const child = spawn(file, args, {
    cwd: place.folder,
    // A session of its own: Ctrl-C ends the application, which still needs its database to finish what it does.
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
    env: { LC_ALL: 'C', PATH: '' },
    ...options,
  })
  try {
    await once(child, 'spawn')
  } finally {
    await output.close()
  }
  child.unref()
  return { pid: child.pid ?? 0, running: () => child.exitCode === null && child.signalCode === null }
}

/** `-D` and `-p` come first: by them the process is known again. Nothing that members typed reaches the log. */
function serverArguments(data: string, { port, fsync }: { port: number; fsync: boolean }): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: fsync ? 'on' : 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'log',
    log_checkpoints: 'off',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', data, '-p', String(port), ...flags]
}

function logFile({ folder }: PostgresFolder): string {
  return join(folder, 'postgres.log')
}

/** The wished port when nobody listens there, else one the system chooses. */
async function freePort(wished: number | undefined): Promise<number> {
  for (const port of wished ? [wished, 0] : [0]) {
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
      const address = server.address()
      if (address && typeof address === 'object') return address.port
    } catch {
      // Taken; the next is tried.
    } finally {
      server.close()
    }
  }
  throw new Error('no port is free on 127.0.0.1')
}
