import { once } from 'node:events'
import { chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { findPostmaster } from '../../src/store/embedded-postgres-process.ts'
import { postgresFolder, query, startOwner } from '../support/embedded-postgres.ts'

const isRoot = process.getuid?.() === 0
const nobody = { uid: 65_534, gid: 65_534 }

const open = async (folder: string, fsync = false) => {
  const postgres = await openEmbeddedPostgres({ folder, fsync, log: () => undefined })
  onTestFinished(() => postgres.stop())
  return postgres
}

test('a folder that holds something else is refused and left as it is', async () => {
  const folder = await postgresFolder()
  await writeFile(join(folder, 'photo.jpg'), 'precious')
  const before = await stat(folder)
  await expect(open(folder)).rejects.toThrow(/holds something else/)
  expect(await readdir(folder)).toEqual(['photo.jpg'])
  expect(await stat(folder)).toMatchObject({ uid: before.uid, mode: before.mode })
})

test.skipIf(!isRoot)('a folder of another user is refused as such', async () => {
  const folder = await postgresFolder()
  const { error } = await startOwner(folder, { account: nobody }).says()
  expect(error).toContain('belongs to another user')
  expect(await readdir(folder)).toEqual([])
})

test.skipIf(!isRoot)('root keeps to the account that the data belong to', async () => {
  const folder = await postgresFolder()
  await chown(folder, nobody.uid, nobody.gid)
  const theirs = startOwner(folder, { account: nobody })
  const { owned } = await theirs.says()
  expect(owned).toBe(true)
  theirs.tell('stop')
  await theirs.ended

  const { url } = await open(folder)
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  const server = findPostmaster(join(folder, 'data'))
  expect((await stat(`/proc/${server?.pid}`)).uid).toBe(nobody.uid)
})

test('a database whose password file was lost is refused, and nothing is left running', async () => {
  const folder = await postgresFolder()
  await (await open(folder)).stop()
  await writeFile(join(folder, 'password'), 'another')
  await expect(open(folder)).rejects.toThrow(/does not answer to the password/)
  expect(findPostmaster(join(folder, 'data'))).toBeUndefined()
})

test('the first start gives an empty UTF-8 database that survives a power cut and serves loopback alone', async () => {
  const { url, owned } = await open(await postgresFolder(), true)
  expect(owned).toBe(true)
  const [settings] = await query<Record<string, string>>(
    url,
    `SELECT current_database() AS name, pg_encoding_to_char(encoding) AS encoding, datlocale AS locale,
       current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
       current_setting('listen_addresses') AS listen, current_setting('password_encryption') AS password,
       lower('ＡÉ') AS lower
     FROM pg_database WHERE datname = current_database()`,
  )
  expect(settings).toEqual({
    name: 'hitotsu',
    encoding: 'UTF8',
    locale: 'C.UTF-8',
    fsync: 'on',
    commit: 'on',
    listen: '127.0.0.1',
    password: 'scram-sha-256',
    lower: 'ａé',
  })
})

test('the password is in a file for its owner alone, and no other is let in', async () => {
  const folder = await postgresFolder()
  const { url } = await open(folder)
  const file = join(folder, 'password')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
  expect(new URL(url).password).toBe((await readFile(file, 'utf8')).trim())
  const wrong = new URL(url)
  wrong.password = 'guess'
  await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/)
})

test('a stop leaves nothing running, and the next start has the same address and data', async () => {
  const folder = await postgresFolder()
  const first = await open(folder)
  await query(first.url, `CREATE TABLE kept AS SELECT 1 AS one`)
  await Promise.all([first.stop(), first.stop()])
  expect(findPostmaster(join(folder, 'data'))).toBeUndefined()
  await expect(query(first.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)

  const second = await open(folder)
  expect(second.url).toBe(first.url)
  expect(await query(second.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }])
})

test('a port that someone else took is given up for another', async () => {
  const folder = await postgresFolder()
  const first = await open(folder)
  await first.stop()
  const rival = createServer().listen(Number(new URL(first.url).port), '127.0.0.1')
  onTestFinished(() => void rival.close())
  await once(rival, 'listening')
  const second = await open(folder)
  expect(new URL(second.url).port).not.toBe(new URL(first.url).port)
  expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
})

test('a first start that was cut short is done over', async () => {
  const folder = await postgresFolder()
  await writeFile(join(folder, 'lock'), '')
  await mkdir(join(folder, 'new-half'))
  await writeFile(join(folder, 'new-half', 'PG_VERSION'), '18')
  const { url } = await open(folder)
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  expect((await readdir(folder)).filter((name) => name.startsWith('new-'))).toEqual([])
})

test('a database that is missing from an existing server is created', async () => {
  const folder = await postgresFolder()
  const first = await open(folder)
  const maintenance = new URL(first.url)
  maintenance.pathname = '/postgres'
  await query(maintenance.href, 'DROP DATABASE hitotsu')
  await first.stop()
  const second = await open(folder)
  expect(await query(second.url, 'SELECT current_database() AS name')).toEqual([{ name: 'hitotsu' }])
})

test('what a statement held is not written to the log when it fails', async () => {
  const folder = await postgresFolder()
  const { url } = await open(folder)
  await query(url, 'CREATE TABLE address (mail text PRIMARY KEY)')
  await query(url, `INSERT INTO address VALUES ('hanako@example.com')`)
  await expect(query(url, `INSERT INTO address VALUES ('hanako@example.com')`)).rejects.toThrow(/duplicate/)
  expect(await readFile(join(folder, 'postgres.log'), 'utf8')).not.toContain('hanako')
})
