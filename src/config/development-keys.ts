import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../security/random.ts'

interface Keys {
  SECRET_KEYS: string[]
  COOKIE_KEYS: string[]
}

/**
 * Keys for a machine that was given none: made once, kept in the data folder, readable by their owner only.
 * Two processes that start at once end with the same keys, because only one of them creates the file.
 */
export function developmentKeys(dataFolder: string, random: Random): Keys {
  const file = join(dataFolder, 'keys.json')
  mkdirSync(dataFolder, { recursive: true })
  const keys: Keys = { SECRET_KEYS: [random.token()], COOKIE_KEYS: [random.token()] }
  try {
    writeFileSync(file, JSON.stringify(keys), { mode: 0o600, flag: 'wx' })
    return keys
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return JSON.parse(readFileSync(file, 'utf8'))
  }
}
