import { setTimeout as pause } from 'node:timers/promises'
import { comesReady, connectionUrl, ensureDatabase } from './embedded-postgres-answer.ts'
import {
  ensureCluster,
  type PostgresFolder,
  prepareFolder,
  readPassword,
} from './embedded-postgres-folder.ts'
import { lockFolder, ownerOf } from './embedded-postgres-lock.ts'
import { findPostmaster, isPostmaster, type Postmaster, stopPostmaster } from './embedded-postgres-process.ts'
import { adoptServer, startServer } from './embedded-postgres-server.ts'
import { supervise } from './embedded-postgres-supervisor.ts'

export interface EmbeddedPostgres {
  /** Holds the password: never log it. */
  url: string
  /** False when the server is another process's and was only joined. */
  owned: boolean
  /** Ends an owned server in order and frees its folder; leaves a joined one alone. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** Empty or made by an earlier start, e.g. `.hitotsu/postgres`. Relative to the working directory. */
  folder: string
  log: (message: string) => void
  /** Join the server of the folder's owner when there is one, instead of failing. */
  share?: boolean
  /** False gives up durability for speed; for tests. */
  fsync?: boolean
}

const joinPatienceMilliseconds = 60_000

/**
 * Runs the PostgreSQL of a data folder and resolves when its database can be used. One process owns a folder at a
 * time. Data acknowledged before a kill of this process, of the server or of both is there after the next start.
 *
 * The server runs in a session of its own, so that Ctrl-C does not reach it: call `stop` when the work is done. A
 * process that ends by a signal it does not handle leaves its server to be taken over by the next start.
 */
export async function openEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const place = await prepareFolder(options.folder)
  const patience = AbortSignal.timeout(options.share ? joinPatienceMilliseconds : 0)
  for (;;) {
    const lock = lockFolder(place.folder)
    if (lock) return await own(place, lock, options)
    // The owner may still be creating its data, or may be gone at the next look.
    const joined = options.share ? await join(place) : undefined
    if (joined) return joined
    if (!options.share || patience.aborted) throw inUse(place)
    await pause(100)
  }
}

function inUse({ folder }: PostgresFolder): Error {
  return new Error(
    `the embedded PostgreSQL in ${folder} is in use by ${ownerOf(folder)}. ` +
      'Stop that process, use another folder, or set DATABASE_URL.',
  )
}

async function own(
  place: PostgresFolder,
  lock: { release(): void },
  { log, fsync = true }: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  let server: Postmaster | undefined
  try {
    await ensureCluster(place, { fsync })
    server = (await adoptServer(place, log)) ?? (await startServer(place, { log, fsync }))
    const { pid, port } = server
    const password = await readPassword(place)
    await ensureDatabase(port, password)
    log(`embedded PostgreSQL ${pid} serves ${place.folder} on port ${port}`)
    const restart = () => startServer(place, { log, fsync, port })
    const { stop } = supervise(server, { data: place.data, log, restart })
    return { url: connectionUrl(port, password), owned: true, stop: () => stop().then(lock.release) }
  } catch (error) {
    if (server) await stopPostmaster(server.pid, place.data, log)
    lock.release()
    throw error
  }
}

/** Undefined when the owner's server does not come to serve: it may have gone, and the folder be free. */
async function join(place: PostgresFolder): Promise<EmbeddedPostgres | undefined> {
  const server = findPostmaster(place.data)
  if (!server) return undefined
  const url = connectionUrl(server.port, await readPassword(place))
  const running = () => isPostmaster(server.pid, place.data)
  if (!(await comesReady(url, { running, patienceMilliseconds: joinPatienceMilliseconds }))) return undefined
  return { url, owned: false, stop: async () => undefined }
}
