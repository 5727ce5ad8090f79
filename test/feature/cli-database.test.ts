import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import { findPostmaster, stopPostmaster } from '../../src/store/embedded-postgres-process.ts'
import { readMigrations } from '../../src/store/migrate.ts'
import { hitotsu } from '../support/cli.ts'
import { createDatabase } from '../support/database.ts'
import { query } from '../support/embedded-postgres.ts'

const migrations = readMigrations().migrationDirectories.map(({ path }) => path)

/** A database that no migration has touched. */
async function emptyDatabase() {
  const database = await createDatabase()
  onTestFinished(() => database.drop())
  await query(database.url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  return { url: database.url, env: { DATABASE_URL: database.url } }
}

async function dataFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-cli-'))
  // Started as root, PostgreSQL runs as another user, who has to get there.
  await chmod(folder, 0o755)
  const data = join(folder, 'postgres', 'data')
  onTestFinished(async () => {
    const left = findPostmaster(data)
    if (left) await stopPostmaster(left.pid, data, () => undefined)
    await rm(folder, { recursive: true, force: true })
  })
  return { folder, env: { DATA_FOLDER: folder }, serverNow: () => findPostmaster(data)?.pid }
}

const tablesOf = (url: string) =>
  query(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")

describe('the database of the command', () => {
  test('a wrong environment is refused with all its faults', async () => {
    const { status, stdout, stderr } = await hitotsu(['clients', 'list'], { ISSUER: 'nowhere', PORT: 'x' })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/ISSUER: .*\n.*PORT: /)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  test('one that cannot be used is told without its password and without a trace', async () => {
    const { url } = await emptyDatabase()
    const absent = new URL(url)
    absent.pathname = '/absent'
    const closed = new URL(url)
    Object.assign(closed, { hostname: '127.0.0.1', port: '1' })
    const stranger = new URL(url)
    stranger.password = 'wrong-password'
    for (const { href, password } of [absent, closed, stranger]) {
      const { status, stdout, stderr } = await hitotsu(['clients', 'list', '--json'], { DATABASE_URL: href })
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toMatch(/^error: the database cannot be used: (?!Raw query)\S.*\n$/)
      expect(stderr).not.toContain(password)
    }
  })

  test('one whose schema is behind is left as it is, and the way to bring it up is told', async () => {
    const { url, env } = await emptyDatabase()
    const { status, stderr } = await hitotsu(['connections', 'list'], env)
    expect(status).toBe(1)
    expect(stderr).toContain(`behind: ${migrations.join(', ')}`)
    expect(stderr).toContain('npm run migrate')
    expect(await tablesOf(url)).toEqual([])
  })
})

describe('migrate', () => {
  test('applies what is missing, names it, and the second time finds nothing', async () => {
    const { env } = await emptyDatabase()
    const first = await hitotsu(['migrate', '--json'], env)
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(first.stdout)).toEqual({ applied: migrations })
    expect(await hitotsu(['migrate'], env)).toEqual({ status: 0, stdout: 'Nothing to apply.\n', stderr: '' })
    expect(JSON.parse((await hitotsu(['clients', 'list', '--json'], env)).stdout)).toEqual([])
  })
})

describe('without DATABASE_URL', () => {
  test('the server’s own PostgreSQL is joined and left running', async () => {
    const { folder, env, serverNow } = await dataFolder()
    const owner = await openEmbeddedPostgres({
      folder: join(folder, 'postgres'),
      fsync: false,
      log: () => {},
    })
    onTestFinished(() => owner.stop())
    const before = serverNow()
    expect((await hitotsu(['migrate'], env)).status).toBe(0)
    expect(await hitotsu(['clients', 'list', '--json'], env)).toMatchObject({ status: 0, stdout: '[]\n' })
    expect(serverNow()).toBe(before)
    expect((await tablesOf(owner.url)).length).toBeGreaterThan(5)
  })

  test('nobody’s is started, and stopped again when the command is done', async () => {
    const { env, serverNow } = await dataFolder()
    expect(await hitotsu(['migrate'], env)).toMatchObject({ status: 0, stderr: '' })
    expect(serverNow()).toBeUndefined()
    const created = await hitotsu(
      [
        ...'clients create --id shop --name-en Shop'.split(' '),
        '--redirect-uri',
        'https://rp.example.com/cb',
      ],
      env,
    )
    expect(created).toMatchObject({ status: 0, stderr: '' })
    expect(serverNow()).toBeUndefined()
    const { stdout } = await hitotsu(['clients', 'list', '--json'], env)
    expect(JSON.parse(stdout)).toMatchObject([{ id: 'shop' }])
    expect(serverNow()).toBeUndefined()
  })
})

describe('help', () => {
  const commands = [
    ...['create', 'list', 'show', 'rotate-secret', 'disable'].map((name) => `clients ${name}`),
    ...['create', 'list', 'show', 'test', 'disable'].map((name) => `connections ${name}`),
    'migrate',
  ]
  test.each(commands)('hitotsu %s --help has examples', async (command) => {
    const { status, stdout, stderr } = await hitotsu([...command.split(' '), '--help'], {})
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/Examples:\n {2}\$ \S/)
  })

  test('hitotsu --help names the exit codes', async () => {
    const { status, stdout } = await hitotsu(['--help'], {})
    expect(status).toBe(0)
    expect(stdout).toContain('Exit status: 0 done, 1 refused or failed, 2')
  })

  test.each(['clients', 'clinets list', 'clients list all', 'migrate --jsn'])(
    'hitotsu %s is no command: exit status 2, and nothing on standard output',
    async (command) => {
      expect(await hitotsu(command.split(' '), {})).toMatchObject({ status: 2, stdout: '' })
    },
  )
})
