import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root } from '../support/source.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hitotsu-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Runs a program of ours to its end, in an environment that holds nothing but this. */
async function run(args: string[], env: Record<string, string>) {
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  return { code, out, err }
}

test('a production server that lacks settings ends at once, names all of them, and has touched nothing', async () => {
  const env = {
    NODE_ENV: 'production',
    ISSUER: 'http://id.example.com',
    PORT: 'x',
    DATA_FOLDER: join(folder, 'data'),
  }
  const { code, out, err } = await run(['src/main.ts'], env)
  expect({ code, out }).toEqual({ code: 1, out: '' })
  const named = [...err.matchAll(/^ {2}- ([A-Z_]+)/gm)].map(([, name]) => name)
  expect(named.sort()).toEqual([
    'COOKIE_KEYS',
    'DATABASE_URL',
    'ISSUER',
    'PORT',
    'REDIS_URL',
    'SECRET_KEYS',
    'SMTP_URL',
  ])
  expect(err).not.toMatch(/^\s+at /m)
  expect(await readdir(folder)).toEqual([])
})

test('processes that start at the same time with no keys end up with the same', async () => {
  const script = `
    import { readConfig } from './src/main.ts'
    const { SECRET_KEYS, COOKIE_KEYS } = readConfig({ DATA_FOLDER: process.env.DATA_FOLDER })
    console.log(JSON.stringify({ SECRET_KEYS, COOKIE_KEYS }))`
  const env = { DATA_FOLDER: join(folder, 'data') }
  const ends = await Promise.all(
    Array.from({ length: 4 }, () => run(['--input-type=module', '--eval', script], env)),
  )
  expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0])
  expect(new Set(ends.map(({ out }) => out)).size).toBe(1)
  expect(await readdir(join(folder, 'data'))).toEqual(['keys.json'])
  expect(JSON.parse(ends[0]?.out ?? '')).toEqual(
    JSON.parse(await readFile(join(folder, 'data', 'keys.json'), 'utf8')),
  )
})
