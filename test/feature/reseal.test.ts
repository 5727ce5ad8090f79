import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { findConnection, openSecret } from '../../src/connections/connection.ts'
import { setOfficialAccount } from '../../src/connections/line-messaging/official-account.ts'
import { officialAccountSeals } from '../../src/connections/line-messaging/seals.ts'
import { connectionSeals } from '../../src/connections/seals.ts'
import { keepNotices } from '../../src/linking/notices/notice.ts'
import { noticeSeals } from '../../src/linking/notices/seals.ts'
import { upstreamTokenSeals } from '../../src/linking/tokens/seals.ts'
import { addressContext } from '../../src/linking/unlink/end-link.ts'
import { formerAddressSeals } from '../../src/linking/unlink/seals.ts'
import { runKeySchedule } from '../../src/oidc/keys/schedule.ts'
import { signingKeySeals } from '../../src/oidc/keys/seals.ts'
import { systemRandom } from '../../src/security/random.ts'
import { createSealer } from '../../src/security/seal.ts'
import type { Db } from '../../src/store/db.ts'
import { inspectSealed, resealColumn, type SealedColumn } from '../../src/store/sealed-column.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { hitotsu } from '../support/cli.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { givenClient, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

const [older, newer] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
const secret = 'the secret of an upstream'
const rotated = createSealer([newer, older])
const policy = { rotationDays: 0, publishAheadSeconds: 600, retiredDays: 7 }

/** A database in which the older key has sealed one of everything, and four signing keys. */
let database: TestDatabase
let identityId: string
beforeEach(async () => {
  database = await createDatabase()
  identityId = await sealOneOfEach({ db: database.db, sealer: createSealer([older]), now })
  const making = { db: database.db, sealer: createSealer([older]), random: systemRandom }
  await runKeySchedule(making, [], policy, now())
})
afterEach(() => database.drop())

const now = () => new Date()

/** The id under which the upstream's tokens are sealed. */
async function sealOneOfEach(server: Pick<TestApp, 'db' | 'now' | 'sealer'>): Promise<string> {
  const { id: connectionId } = await givenConnection(server, { id: 'shop', clientSecret: secret })
  await setOfficialAccount(
    server.db,
    server.sealer,
    {
      connectionId,
      channelId: '1234567891',
      channelSecret: '0123456789abcdef0123456789abcdef',
      botUserId: `U${'0'.repeat(32)}`,
      linkWords: ['連携'],
    },
    server.now(),
  )
  const notice = { connectionId, noticeId: 'told', source: 'security_event' as const, body: {} }
  await keepNotices(server.db, { ...server, random: systemRandom }, [notice], server.now())
  const { id: memberId } = await givenMember(server)
  const id = randomUUID()
  const ended = {
    identityId: randomUUID(),
    issuer: 'https://shop.example.com',
    subject: 's',
    reason: 'member',
  }
  const times = { linkedAt: server.now(), unlinkedAt: server.now(), coolOffUntil: server.now() }
  const sealedAddress = server.sealer.seal('hanako@example.com', addressContext(id))
  await server.db.formerIdentity.create({
    data: { id, memberId, connectionId, ...ended, ...times, sealedAddress },
  })
  return (await givenIdentity(server, { memberId, connectionId })).id
}

const columnsOf = (db: Db): SealedColumn[] => [
  signingKeySeals(db),
  connectionSeals(db),
  officialAccountSeals(db),
  upstreamTokenSeals(db),
  noticeSeals(db),
  formerAddressSeals(db),
]
const staleCounts = (db: Db) =>
  Promise.all(columnsOf(db).map(async (column) => (await inspectSealed(column, rotated)).stale))
const reseal = (url: string, ...args: string[]) =>
  hitotsu(['secrets', 'reseal', ...args], {
    NODE_ENV: 'test',
    DATABASE_URL: url,
    SECRET_KEYS: `${newer},${older}`,
    COOKIE_KEYS: newer,
  })

test('a new sealing key takes over while the server runs, and the old one is dropped', async () => {
  const server = await startTestApp({ env: { SECRET_KEYS: older, COOKIE_KEYS: newer } })
  onTestFinished(() => server.close())
  const { db } = server
  const id = await sealOneOfEach(server)
  const party = await relyingParty(server, await givenClient(server))
  const member = await givenMember(server)
  /** Everything that is sealed opens with these keys, and the server signs with what it opened. */
  const expectToWork = async (keys: string[]) => {
    await server.restartAs({ SECRET_KEYS: keys })
    const sealer = createSealer(keys)
    const connection = await findConnection(db, 'shop')
    expect(connection && openSecret(sealer, connection)).toBe(secret)
    const { sealed } = await db.upstreamToken.findUniqueOrThrow({ where: { id } })
    expect(JSON.parse(sealer.open(sealed, `upstream tokens ${id}`))).toHaveProperty('refreshToken')
    expect((await signIn(party, openBrowser(), member)).claims()?.sub).toBe(member.id)
  }

  await expect(server.restartAs({ SECRET_KEYS: [newer] })).rejects.toThrow('no sealing key opens this value')
  await expectToWork([newer, older])
  expect(await staleCounts(db)).toEqual([4, 1, 1, 1, 1, 1])
  const ended = await reseal(server.config.DATABASE_URL ?? '', '--json')
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  const { lines, olderKeysNeeded } = JSON.parse(ended.stdout)
  expect(lines.map(({ name, resealed, stale }: Record<string, unknown>) => [name, resealed, stale])).toEqual([
    ['signing keys', 4, 0],
    ['connection secrets', 1, 0],
    ['official account secrets', 1, 0],
    ['upstream tokens', 1, 0],
    ['upstream notices', 1, 0],
    ['addresses before unlinking', 1, 0],
  ])
  expect(olderKeysNeeded).toBe(false)
  await expectToWork([newer])
})

test('it can be interrupted at any row, and done again brings it to the end', async () => {
  const column = signingKeySeals(database.db)
  let left = 2
  const interrupted: SealedColumn = {
    ...column,
    replace: async (value, fresh) => {
      if (left-- === 0) throw new Error('the process was killed')
      return column.replace(value, fresh)
    },
  }
  await expect(resealColumn(interrupted, rotated)).rejects.toThrow('killed')
  expect(await inspectSealed(column, rotated)).toEqual({ total: 4, stale: 2, unreadable: [] })
  expect(await resealColumn(column, rotated)).toBe(2)
  expect(await resealColumn(column, rotated)).toBe(0)
})

test('many rows go by in batches, each once', async () => {
  const { db } = database
  const sealer = createSealer([older])
  const { connectionId, issuer } = await db.upstreamToken.findUniqueOrThrow({ where: { id: identityId } })
  const ids = Array.from({ length: 450 }, () => randomUUID())
  const row = { connectionId, issuer, storedAt: now() }
  await db.upstreamToken.createMany({
    data: ids.map((id) => ({
      ...row,
      id,
      subject: id,
      sealed: sealer.seal('{}', `upstream tokens ${id}`),
    })),
  })
  expect(await resealColumn(upstreamTokenSeals(db), rotated)).toBe(451)
  expect(await inspectSealed(upstreamTokenSeals(db), createSealer([newer]))).toEqual({
    total: 451,
    stale: 0,
    unreadable: [],
  })
})

test('a key is told from another by every character of its id', async () => {
  const sealers = Array.from({ length: 200 }, () => createSealer([randomBytes(32).toString('hex')]))
  const sealer = sealers.find(({ newestPrefix }) => newestPrefix.includes('_'))
  if (!sealer) throw new Error('no id has an underscore')
  const sealed = `${sealer.newestPrefix.replaceAll('_', 'x')}a.b`
  await database.db.upstreamToken.update({ where: { id: identityId }, data: { sealed } })
  const { unreadable } = await inspectSealed(upstreamTokenSeals(database.db), sealer)
  expect(unreadable).toEqual([identityId])
})

test.each([0, 1, 2])('what changed since it was read is left alone (%i)', async (at) => {
  const column = columnsOf(database.db)[at]
  const [value] = (await column?.findOthers(rotated.newestPrefix, undefined, 1)) ?? []
  if (!column || !value) throw new Error('nothing is sealed')
  const text = rotated.open(value.sealed, column.context(value.id))
  expect(await column.replace(value, rotated.seal(text, column.context(value.id)))).toBe(true)
  // The one who read it before comes late.
  expect(await column.replace(value, 'overwritten')).toBe(false)
  expect((await inspectSealed(column, rotated)).unreadable).toEqual([])
})

test('what no key opens is named, left as it is, and does not stop the rest', async () => {
  const sealed = createSealer([randomBytes(32).toString('hex')]).seal('{}', `upstream tokens ${identityId}`)
  await database.db.upstreamToken.update({ where: { id: identityId }, data: { sealed } })
  const column = upstreamTokenSeals(database.db)
  expect(await inspectSealed(column, rotated)).toEqual({ total: 1, stale: 0, unreadable: [identityId] })
  expect(await resealColumn(column, rotated)).toBe(0)
  const row = await database.db.upstreamToken.findUniqueOrThrow({ where: { id: identityId } })
  expect(row.sealed).toBe(sealed)
  const ended = await reseal(database.url)
  expect(ended.status).toBe(1)
  expect(ended.stderr).toBe(`error: upstream tokens: no key opens ${identityId}\n`)
  expect(await staleCounts(database.db)).toEqual([0, 0, 0, 0, 0, 0])
})
