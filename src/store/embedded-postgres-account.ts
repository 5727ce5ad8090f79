import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

interface Identity {
  uid: number
  gid: number
}

/** Whom the server runs as when root starts it. */
export interface Account extends Identity {
  /** Has to pass folders that are closed to it, like a checkout below /root. */
  passesClosedFolders: boolean
}

/** What `spawn` and `execFile` take. */
export interface Command {
  file: string
  args: string[]
  options: Partial<Identity>
}

// Named in full: the server's environment has no PATH.
const setpriv = '/usr/bin/setpriv'

const run = promisify(execFile)

/**
 * Undefined for an ordinary user, who runs the server himself. PostgreSQL refuses to run as root; for root it is
 * the account that owns the folder already, else `postgres`, else `nobody`: none is ever created. Fails when that
 * account could reach the folder or the program by no means.
 */
export async function serverAccount(folder: string, program: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const identity = await identityFor(folder)
  const paths = [dirname(folder), program]
  const plain = { ...identity, passesClosedFolders: false }
  if (!(await failureToReach(paths, plain))) return plain
  const able = { ...identity, passesClosedFolders: true }
  const failure = await failureToReach(paths, able)
  if (failure) throw failure
  return able
}

/**
 * Starts a program as the account, as the one running when there is none. Permissions of folders that are not ours
 * stay as they are: an account that has to pass closed ones is given the right to, and nothing else of root's.
 */
export function commandAs(account: Account | undefined, program: string, args: string[]): Command {
  if (!account) return { file: program, args, options: {} }
  const { uid, gid, passesClosedFolders } = account
  if (!passesClosedFolders) return { file: program, args, options: { uid, gid } }
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs']
  const right = [
    ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override'],
    // access(2), by which PostgreSQL finds its own program, disregards the right without this.
    '--securebits=+no_setuid_fixup',
  ]
  // setpriv becomes the program: same process, and the same command line as without it.
  return { file: setpriv, args: [...identity, ...right, program, ...args], options: {} }
}

async function identityFor(folder: string): Promise<Identity> {
  const owner = await stat(folder)
  if (owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const identity = (await identityOf('postgres')) ?? (await identityOf('nobody'))
  if (identity) return identity
  throw new Error(
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as. ' +
      'Start as an ordinary user, or set DATABASE_URL.',
  )
}

async function identityOf(name: string): Promise<Identity | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}

/** The system is asked rather than modes read: it alone knows of access lists, and whether the right is to be had. */
async function failureToReach(paths: string[], account: Account): Promise<Error | undefined> {
  for (const path of paths) {
    const { file, args, options } = commandAs(account, 'test', ['-x', path])
    try {
      await run(file, args, { cwd: '/', ...options })
    } catch (cause) {
      return new Error(
        `started as root, PostgreSQL runs as user ${account.uid}, who cannot reach ${path} and cannot be given ` +
          `the right to: that takes ${setpriv} (util-linux) and the capabilities DAC_OVERRIDE and SETPCAP. ` +
          'Start as an ordinary user, move it to where that user may go, or set DATABASE_URL.',
        { cause },
      )
    }
  }
  return undefined
}
