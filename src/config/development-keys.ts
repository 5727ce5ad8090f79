import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../security/random.ts'

interface Keys {
  SECRET_KEYS: string[]
  COOKIE_KEYS: string[]
}

/**
 * Keys for a machine that was given none: made once, kept in the data folder, readable by their owner only.
 * Processes that start at once end with the same keys: the file appears whole, and for one of them only.
 */
export function developmentKeys(dataFolder: string, random: Random): Keys {
  const file = join(dataFolder, 'keys.json')
  mkdirSync(dataFolder, { recursive: true })
  const keys: Keys = { SECRET_KEYS: [random.token()], COOKIE_KEYS: [random.token()] }
  const draft = `${file}.${random.uuid()}`
  writeFileSync(draft, JSON.stringify(keys), { mode: 0o600, flag: 'wx' })
  try {
    linkSync(draft, file)
    return keys
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return JSON.parse(readFileSync(file, 'utf8'))
  } finally {
    rmSync(draft)
  }
}
