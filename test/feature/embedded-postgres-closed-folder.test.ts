import { spawnSync } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { findPostmaster } from '../../src/store/embedded-postgres-process.ts'
import { postgresFolder, query, startOwner } from '../support/embedded-postgres.ts'

// Only root runs the server as another user; on other systems there is no capability to give.
const possible = process.getuid?.() === 0 && process.platform === 'linux'
const openCheckout =
  possible && spawnSync('test', ['-x', import.meta.dirname], { uid: 65_534, gid: 65_534 }).status === 0
const dacOverride = 1n << 1n

const open = async (folder: string) => {
  const postgres = await openEmbeddedPostgres({ folder, fsync: false, log: () => undefined })
  onTestFinished(() => postgres.stop())
  return postgres
}
const serverOf = (folder: string) => findPostmaster(join(folder, 'data'))?.pid
/** What the kernel lets the server do beyond its user: every set but the bound, which gives nothing. */
const rightsOf = async (folder: string) => {
  const status = await readFile(`/proc/${serverOf(folder)}/status`, 'utf8')
  const sets = [...status.matchAll(/^Cap(?:Inh|Prm|Eff|Amb):\s+([0-9a-f]+)$/gm)]
  return sets.reduce((rights, [, set]) => rights | BigInt(`0x${set}`), 0n)
}

describe.skipIf(!possible)('below a folder that only root may enter (needs root on Linux)', () => {
  test('a start that may not give the right to pass is refused by name, and changes nothing', async () => {
    const folder = await postgresFolder('inside')
    const withoutRight = ['setpriv', '--bounding-set=-setpcap']
    const { error } = await startOwner(folder, { through: withoutRight }).says()
    expect(error).toContain(`cannot reach ${dirname(folder)} and cannot be given the right`)
    expect(await readdir(folder)).toEqual([])
    expect((await stat(folder)).uid).toBe(0)
  })

  test('the server runs as another user with that one right, and the folder stays closed', async () => {
    const folder = await postgresFolder('inside')
    const postgres = await open(folder)
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect((await stat(`/proc/${serverOf(folder)}`)).uid).not.toBe(0)
    expect(await rightsOf(folder)).toBe(dacOverride)
    expect(await stat(dirname(folder))).toMatchObject({ uid: 0, mode: 0o40700 })

    await postgres.stop()
    expect(serverOf(folder)).toBeUndefined()
  })

  test('the server is taken over when its owner was killed, and a stop ends it', async () => {
    const folder = await postgresFolder('inside')
    const owner = startOwner(folder)
    const { url } = await owner.says()
    const orphan = serverOf(folder)
    await owner.kill()

    const adopted = await open(folder)
    expect(adopted).toMatchObject({ url, owned: true })
    expect(orphan).toBeDefined()
    expect(serverOf(folder)).toBe(orphan)
    await adopted.stop()
    expect(serverOf(folder)).toBeUndefined()
  })

  test('the server is started again when it was killed', async () => {
    const folder = await postgresFolder('inside')
    const { url } = await open(folder)
    const killed = serverOf(folder) ?? 0
    process.kill(killed, 'SIGKILL')
    const rows = await vi.waitFor(() => query(url, 'SELECT 1 AS one'), { timeout: 20_000, interval: 50 })
    expect(rows).toEqual([{ one: 1 }])
    expect(serverOf(folder)).not.toBe(killed)
    expect(await rightsOf(folder)).toBe(dacOverride)
  })

  test('Ctrl-C in the terminal does not reach the server', async () => {
    const folder = await postgresFolder('inside')
    const owner = startOwner(folder)
    await owner.says()
    process.kill(-(owner.process.pid ?? 0), 'SIGINT')
    expect(await owner.says()).toEqual({ drained: true })
    await owner.ended
    expect(serverOf(folder)).toBeUndefined()
  })
})

test.skipIf(!possible || !openCheckout)(
  'where its user may go, the server has no right of root (needs root on Linux, and a checkout open to all)',
  async () => {
    const folder = await postgresFolder()
    await open(folder)
    expect(await rightsOf(folder)).toBe(0n)
  },
)
