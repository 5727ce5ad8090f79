import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { findPostmaster } from '../../src/store/embedded-postgres-process.ts'
import { type OwnerProcess, postgresFolder, query, startOwner } from '../support/embedded-postgres.ts'

const open = async (folder: string, share = false) => {
  const postgres = await openEmbeddedPostgres({ folder, share, fsync: false, log: () => undefined })
  onTestFinished(() => postgres.stop())
  return postgres
}
const serverOf = (folder: string) => findPostmaster(join(folder, 'data'))?.pid
const rowsOf = async (url: string) =>
  (await query<{ id: number }>(url, 'SELECT id FROM kept ORDER BY id')).map(({ id }) => id)

/** Another process owns the folder, and three rows were acknowledged. */
const givenOwner = async (folder: string, ...flags: string[]): Promise<OwnerProcess & { url: string }> => {
  const owner = startOwner(folder, { flags })
  const { url } = await owner.says()
  await query(url, 'CREATE TABLE kept AS SELECT generate_series(1, 3) AS id')
  return { ...owner, url }
}

describe('two processes and one folder', () => {
  test('the second fails, naming the first, and does the first no harm', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    await expect(open(folder)).rejects.toThrow(`in use by process ${owner.process.pid}`)
    expect(await rowsOf(owner.url)).toEqual([1, 2, 3])
  })

  test('of five that start at once exactly one owns it', async () => {
    const folder = await postgresFolder()
    const owners = Array.from({ length: 5 }, () => startOwner(folder))
    const said = await Promise.all(owners.map((owner) => owner.says()))
    expect(said.filter((line) => line.owned)).toHaveLength(1)
    expect(said.filter((line) => line.error?.includes('in use by'))).toHaveLength(4)
  })

  test('the same process is refused a second time as well', async () => {
    const folder = await postgresFolder()
    await open(folder)
    await expect(open(folder)).rejects.toThrow(`in use by process ${process.pid}`)
  })

  test('one that shares joins the server, and leaves it running when it stops', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    const joined = await open(folder, true)
    expect(joined).toMatchObject({ url: owner.url, owned: false })
    await joined.stop()
    expect(await rowsOf(owner.url)).toEqual([1, 2, 3])
  })

  test('one that shares waits for an owner that is still starting', async () => {
    const folder = await postgresFolder()
    const owner = startOwner(folder)
    await vi.waitFor(() => readFile(join(folder, 'owner')), { timeout: 10_000, interval: 5 })
    const joined = await open(folder, true)
    expect(joined).toMatchObject({ url: (await owner.says()).url, owned: false })
  })

  test('one that shares owns the server when nobody else does', async () => {
    const folder = await postgresFolder()
    const alone = await open(folder, true)
    expect(alone.owned).toBe(true)
    await alone.stop()
    expect(serverOf(folder)).toBeUndefined()
  })
})

describe('after the owner was killed', () => {
  test('its server is taken over with every acknowledged row, and a stop ends it', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    const orphan = serverOf(folder)
    await owner.kill()
    const adopted = await open(folder)
    expect(adopted).toMatchObject({ url: owner.url, owned: true })
    expect(serverOf(folder)).toBe(orphan)
    expect(await rowsOf(adopted.url)).toEqual([1, 2, 3])
    await adopted.stop()
    expect(serverOf(folder)).toBeUndefined()
  })

  test('its server that does not answer any more is replaced, and every acknowledged row is there', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder, 'fsync')
    const orphan = serverOf(folder) ?? 0
    await owner.kill()
    process.kill(orphan, 'SIGSTOP')
    const next = await open(folder)
    expect(serverOf(folder)).not.toBe(orphan)
    expect(await rowsOf(next.url)).toEqual([1, 2, 3])
  }, 60_000)

  test('and its server too, every acknowledged row is there', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder, 'fsync')
    await owner.kill()
    process.kill(serverOf(folder) ?? 0, 'SIGKILL')
    const next = await open(folder)
    expect(await rowsOf(next.url)).toEqual([1, 2, 3])
  })

  test('a server that is shutting down is waited for, then started again', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    const orphan = serverOf(folder) ?? 0
    await owner.kill()
    process.kill(orphan, 'SIGINT')
    const next = await open(folder)
    expect(serverOf(folder)).not.toBe(orphan)
    expect(await rowsOf(next.url)).toEqual([1, 2, 3])
  })
})

describe('a process id that is used again', () => {
  /** A folder with data whose server crashed, leaving its file behind; the file is made to name another process. */
  const givenCrash = async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    const file = join(folder, 'data', 'postmaster.pid')
    const [, ...rest] = (await readFile(file, 'utf8')).split('\n')
    await owner.kill()
    process.kill(serverOf(folder) ?? 0, 'SIGKILL')
    await vi.waitFor(() => expect(serverOf(folder)).toBeUndefined(), { timeout: 10_000 })
    return { folder, name: (pid = 0) => writeFile(file, [pid, ...rest].join('\n')) }
  }

  test('by a stranger is neither signalled nor in the way', async () => {
    const { folder, name } = await givenCrash()
    // PostgreSQL itself looks past the processes of other users, so the stranger is of the same.
    const { uid, gid } = await stat(folder)
    const stranger = spawn('sleep', ['1000'], { stdio: 'ignore', uid, gid })
    onTestFinished(() => void stranger.kill('SIGKILL'))
    await once(stranger, 'spawn')
    await name(stranger.pid)

    const next = await open(folder)
    expect(await rowsOf(next.url)).toEqual([1, 2, 3])
    await next.stop()
    expect([stranger.exitCode, stranger.signalCode]).toEqual([null, null])
  })

  test('by the server of another folder is neither signalled nor in the way', async () => {
    const { folder, name } = await givenCrash()
    const otherFolder = await postgresFolder()
    const other = await open(otherFolder)
    await name(serverOf(otherFolder))

    const next = await open(folder)
    expect(await rowsOf(next.url)).toEqual([1, 2, 3])
    await next.stop()
    expect(await query(other.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })
})

describe('while the owner runs', () => {
  test('a server that was killed is started again under the same address', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder, 'fsync')
    const killed = serverOf(folder) ?? 0
    process.kill(killed, 'SIGKILL')
    const rows = await vi.waitFor(() => rowsOf(owner.url), { timeout: 20_000, interval: 50 })
    expect(rows).toEqual([1, 2, 3])
    expect(serverOf(folder)).not.toBe(killed)
    owner.tell('stop')
    await owner.ended
    expect(serverOf(folder)).toBeUndefined()
  })
})

describe('the end of the owner', () => {
  test('Ctrl-C does not take the server away before the owner has finished with it', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    process.kill(-(owner.process.pid ?? 0), 'SIGINT')
    expect(await owner.says()).toEqual({ drained: true })
    await owner.ended
    expect(serverOf(folder)).toBeUndefined()
    const next = await open(folder)
    expect(await query(next.url, 'SELECT * FROM drained')).toEqual([])
  })

  test('an exit without a stop ends the server too', async () => {
    const folder = await postgresFolder()
    const owner = await givenOwner(folder)
    owner.tell('exit')
    await owner.ended
    await vi.waitFor(() => expect(serverOf(folder)).toBeUndefined(), { timeout: 10_000 })
  })
})
