import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { TestApp } from './app.ts'

export interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

const program = fileURLToPath(new URL('../../src/cli/cli.ts', import.meta.url))

/** Where Node keeps what it has compiled, if this run keeps it: a command starts in half the time. */
const { NODE_COMPILE_CACHE: cache } = process.env
const compileCache = cache ? { NODE_COMPILE_CACHE: resolve(cache) } : {}

/** The hitotsu command as a process of its own, with this environment and nothing of ours. */
export async function hitotsu(
  args: readonly string[],
  env: Record<string, string>,
  input = '',
): Promise<Ended> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
    env: { PATH: process.env.PATH ?? '', ...compileCache, ...env },
  })
  // A command that reads nothing may be gone before it is written to.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { status, stdout, stderr }
}

/** The environment in which the command works for this server. */
export function environmentOf({ config }: Pick<TestApp, 'config'>): Record<string, string> {
  const { ISSUER, DATABASE_URL = '', SECRET_KEYS, COOKIE_KEYS } = config
  const keys = { SECRET_KEYS: SECRET_KEYS.join(','), COOKIE_KEYS: COOKIE_KEYS.join(',') }
  return { NODE_ENV: 'test', ISSUER, DATABASE_URL, ...keys }
}
