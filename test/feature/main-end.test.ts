import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import { findPostmaster } from '../../src/store/embedded-postgres-process.ts'
import { postgresFolder } from '../support/embedded-postgres.ts'

const script = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** The server as a person starts it, with a PostgreSQL of its own. */
const start = async () => {
  const folder = await postgresFolder('postgres')
  const child = spawn(process.execPath, [script], {
    env: {
      DATA_FOLDER: join(folder, '..'),
      PORT: '0',
      ISSUER: 'http://localhost:3950',
      PATH: process.env.PATH,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  const postgres = () => findPostmaster(join(folder, 'data'))?.pid
  // In a terminal the whole group hears it, also the programs that a start runs.
  const interrupt = () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGINT')
  }
  return { said: () => said, postgres, interrupt, ended: once(child, 'exit') }
}
const soon = { timeout: 20_000, interval: 5 }

test('Ctrl-C while it starts leaves no PostgreSQL behind', async () => {
  const server = await start()
  await vi.waitFor(() => expect(server.postgres()).toBeDefined(), soon)
  server.interrupt()
  expect(await server.ended).toEqual([0, null])
  expect(server.postgres()).toBeUndefined()
}, 40_000)

test('Ctrl-C that comes more than once, as npm hands it on, ends it in order', async () => {
  const server = await start()
  await vi.waitFor(() => expect(server.said()).toContain('listening'), soon)
  const again = setInterval(server.interrupt, 2)
  onTestFinished(() => clearInterval(again))
  expect(await server.ended).toEqual([0, null])
  expect(server.postgres()).toBeUndefined()
}, 40_000)
