import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { SimulatorState } from './state.ts'

/** What an earlier run saved, or undefined where nothing was. */
export function readStateFile(path: string): SimulatorState | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SimulatorState
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces the file in one step, so that a killed process leaves the old state or the new one. */
export function writeStateFile(path: string, state: SimulatorState): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
