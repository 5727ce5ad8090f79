import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const sqliteBusy = 5

// An unreferenced database would be closed by the garbage collector, and its lock given up with it.
const held = new Set<DatabaseSync>()

/**
 * Makes this process the one owner of the folder, or returns undefined when another is. The lock is SQLite's
 * exclusive lock on an empty file: the kernel drops it with the process, whatever ends it, so it cannot go
 * stale and no process id is ever taken for an owner's.
 */
export function lockFolder(folder: string): { release(): void } | undefined {
  const database = new DatabaseSync(join(folder, 'lock'), { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return undefined
    throw error
  }
  held.add(database)
  // Removed first: a file of another user cannot be written over, but may be replaced in a folder of our own.
  rmSync(join(folder, 'owner'), { force: true })
  writeFileSync(join(folder, 'owner'), `${process.pid}\n`)
  return {
    release: () => {
      if (!held.delete(database)) return
      rmSync(join(folder, 'owner'), { force: true })
      database.close()
    },
  }
}

/** Who holds the lock, for people to read; nothing is decided by it. */
export function ownerOf(folder: string): string {
  try {
    return `process ${readFileSync(join(folder, 'owner'), 'utf8').trim()}`
  } catch {
    return 'another process'
  }
}
