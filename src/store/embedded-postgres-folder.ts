import { execFile } from 'node:child_process'
import {
  access,
  chmod,
  chown,
  constants,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
} from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { systemRandom } from '../security/random.ts'
import { type Account, commandAs, serverAccount } from './embedded-postgres-account.ts'
import { superuser } from './embedded-postgres-answer.ts'
import { findPostgresBinaries, type PostgresBinaries } from './embedded-postgres-binaries.ts'

/** The folder of one embedded PostgreSQL: `data`, `password`, `port`, `lock`, `owner`, `postgres.log`. */
export interface PostgresFolder {
  folder: string
  data: string
  account: Account | undefined
  binaries: PostgresBinaries
}

/**
 * Makes the folder usable and only its own: created when missing, readable by nobody else, given to the account
 * the server runs as. A folder that holds something else is refused before anything in it is touched.
 */
export async function prepareFolder(path: string): Promise<PostgresFolder> {
  const binaries = await findPostgresBinaries()
  await mkdir(resolve(path), { recursive: true })
  const folder = await realpath(path)
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause) => {
    throw new Error(`the embedded PostgreSQL's folder ${folder} belongs to another user`, { cause })
  })
  const names = await readdir(folder)
  if (names.length > 0 && !names.includes('lock')) {
    throw new Error(`${folder} holds something else than an embedded PostgreSQL; name an empty folder`)
  }
  const account = await serverAccount(folder, binaries.postgres)
  if (account) await chown(folder, account.uid, account.gid)
  await chmod(folder, 0o700)
  return { folder, data: join(folder, 'data'), account, binaries }
}

/**
 * Creates the cluster unless it is there, for the owner of the folder only. It is built beside its place and moved
 * there when whole, so that a start that was interrupted leaves nothing that looks like data.
 */
export async function ensureCluster(place: PostgresFolder, { fsync }: { fsync: boolean }): Promise<void> {
  const { folder, data, account, binaries } = place
  const names = await readdir(folder)
  for (const name of names.filter((name) => name.startsWith('new-'))) {
    await rm(join(folder, name), { recursive: true, force: true })
  }
  if (names.includes('data')) return
  await writePrivate(place, 'password', `${systemRandom.token()}\n`)
  const fresh = join(folder, `new-${systemRandom.token(6)}`)
  const { file, args, options } = commandAs(account, binaries.initdb, [
    ...['-D', fresh, '-U', superuser, '-E', 'UTF8', '--auth=scram-sha-256'],
    // The same order and case rules on every platform and after every upgrade of the system's libraries.
    ...['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'],
    ...[`--pwfile=${join(folder, 'password')}`, '--no-instructions', ...(fsync ? [] : ['--no-sync'])],
  ])
  await promisify(execFile)(file, args, { cwd: folder, ...options }).catch((cause) => {
    throw new Error(`PostgreSQL's data could not be created in ${folder}: ${cause.message}`, { cause })
  })
  await rename(fresh, data)
  await flush(folder)
}

export async function readPassword({ folder }: PostgresFolder): Promise<string> {
  return (await readFile(join(folder, 'password'), 'utf8')).trim()
}

/** The port of the last start, so that the address survives a restart; undefined the first time. */
export async function readPort({ folder }: PostgresFolder): Promise<number | undefined> {
  const text = await readFile(join(folder, 'port'), 'utf8').catch(() => '')
  return Number(text.trim()) || undefined
}

export async function writePort(place: PostgresFolder, port: number): Promise<void> {
  await writePrivate(place, 'port', `${port}\n`)
}

/** Whole or not at all, readable by its owner alone. */
async function writePrivate({ folder, account }: PostgresFolder, name: string, text: string): Promise<void> {
  const fresh = join(folder, `new-${name}`)
  await rm(fresh, { force: true })
  const file = await open(fresh, 'wx', 0o600)
  try {
    if (account) await file.chown(account.uid, account.gid)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, join(folder, name))
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
