import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/** Whom the server runs as. */
export interface Account {
  uid: number
  gid: number
}

const run = promisify(execFile)

/**
 * Undefined for an ordinary user, who runs the server himself. PostgreSQL refuses to run as root; for root it is
 * the account that owns the folder already, else `postgres`, else `nobody`: none is ever created.
 */
export async function serverAccount(folder: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const owner = await stat(folder).catch(() => undefined)
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const account = (await accountOf('postgres')) ?? (await accountOf('nobody'))
  if (account) return account
  throw new Error(
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as. ' +
      'Start as an ordinary user, or set DATABASE_URL.',
  )
}

/** Fails, naming the folder in the way, when the account could not reach the path. */
export async function checkReach(path: string, account: Account): Promise<void> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder)
    const allowed = uid === account.uid ? mode & 0o100 : gid === account.gid ? mode & 0o010 : mode & 0o001
    if (!allowed) {
      throw new Error(
        `started as root, PostgreSQL runs as user ${account.uid}, who may not enter ${folder} and so cannot reach ` +
          `${path}. Start as an ordinary user, move it to where that user may go, or set DATABASE_URL.`,
      )
    }
    if (folder === dirname(folder)) return
  }
}

async function accountOf(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch {
    return undefined
  }
}
