import { randomBytes } from 'node:crypto'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest'
import type { KeyFacts, KeyPolicy } from '../../src/oidc/keys/plan.ts'
import { type Removal, removeSigningKey, rotateSigningKey } from '../../src/oidc/keys/rotate.ts'
import { runKeySchedule } from '../../src/oidc/keys/schedule.ts'
import { type KeyMaking, readKeyFacts } from '../../src/oidc/keys/signing-key.ts'
import { systemRandom } from '../../src/security/random.ts'
import { createSealer, type Sealer } from '../../src/security/seal.ts'
import { type Db, openDb } from '../../src/store/db.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { send } from '../support/post.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const policy: KeyPolicy = { rotationDays: 90, publishAheadSeconds: 86_400, retiredDays: 7 }

const now = () => new Date()
const makingOver = (db: Db, sealer: Sealer) => ({ db, sealer, random: systemRandom })

describe('processes that do the same at the same moment', () => {
  let database: TestDatabase
  let making: KeyMaking
  beforeEach(async () => {
    database = await createDatabase()
    making = makingOver(database.db, createSealer([randomBytes(32).toString('hex')]))
  })
  afterEach(() => database.drop())

  const together = (facts: KeyFacts[], at: Date) =>
    Promise.all([1, 2, 3].map(() => runKeySchedule(making, facts, policy, at)))
  const rotate = (inSeconds = 0) =>
    rotateSigningKey(making, 'ES256', new Date(Date.now() + inSeconds * 1000), now())
  const remove = (kid: string | undefined, removal: Removal) =>
    removeSigningKey(database.db, kid ?? '', removal, now())

  test('make one key of each algorithm, retire and destroy each once, and write one event for each', async () => {
    const { db } = database
    await together([], now())
    const first = await readKeyFacts(db)
    expect(first.map(({ alg, position }) => [alg, position])).toEqual(
      ['ES256', 'EdDSA', 'PS256', 'RS256'].map((alg) => [alg, 0]),
    )
    const later = (days: number) => new Date(Date.now() + days * 86_400_000)
    await together(first, later(89.5))
    await together(await readKeyFacts(db), later(91))
    await together(await readKeyFacts(db), later(100))
    const keys = await readKeyFacts(db)
    expect(keys.map(({ position, destroyedAt }) => [position, destroyedAt !== null])).toEqual(
      ['ES256', 'EdDSA', 'PS256', 'RS256'].flatMap(() => [
        [0, true],
        [1, false],
      ]),
    )
    const events = await db.event.groupBy({ by: ['type'], _count: true, orderBy: { type: 'asc' } })
    expect(events.map(({ type, _count }) => [type, _count])).toEqual([
      ['signing_key.created', 8],
      ['signing_key.destroyed', 4],
      ['signing_key.retired', 4],
    ])
  })

  test('two who end the last two keys of an algorithm leave one', async () => {
    let left = await rotate()
    for (let round = 0; round < 8; round += 1) {
      const other = await rotate()
      const outcomes = await Promise.all([remove(left, 'destroy'), remove(other, 'destroy')])
      expect(outcomes.toSorted()).toEqual(['done', 'needed'])
      left = outcomes[0] === 'done' ? other : left
    }
  })

  test('what is unknown, or over already, is told apart', async () => {
    await rotate()
    const kid = await rotate(600)
    expect(await remove('nobody', 'destroy')).toBe('unknown')
    expect([await remove(kid, 'retire'), await remove(kid, 'retire')]).toEqual(['done', 'unchanged'])
    expect([await remove(kid, 'destroy'), await remove(kid, 'destroy')]).toEqual(['done', 'unchanged'])
    expect(await remove(kid, 'retire')).toBe('unchanged')
  })
})

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const rotate = (sealer = server.sealer) =>
  rotateSigningKey(makingOver(server.db, sealer), 'ES256', server.now(), server.now())
const publishedAt = async (origin: string) => {
  const { json } = await send(`${origin}/jwks`, { headers: { host: new URL(server.issuer).host } })
  return (json.keys as { kid: string }[]).map(({ kid }) => kid)
}
const waitFor = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 15_000 })

test('a process that has ended asks for nothing more', async () => {
  const db = openDb(server.config.DATABASE_URL ?? '', 1)
  const peer = await server.startPeer({ db })
  await peer.close()
  await db.$disconnect()
  const before = server.logged()
  await peer.app.engine.refresh()
  expect(server.logged()).toBe(before)
})

describe('a process that cannot read the keys', () => {
  test('serves with what it has while the database is away, says so once, and catches up', async () => {
    const url = new URL(server.config.DATABASE_URL ?? '')
    const port = Number(url.port)
    const proxy = await startTcpProxy(port)
    url.host = `127.0.0.1:${proxy.port}`
    const db = openDb(url.href, 2)
    const lines: string[] = []
    const log = createLogger('info', { write: (line) => void lines.push(line) })
    const peer = await server.startPeer({ db, log })
    onTestFinished(async () => {
      await peer.close()
      await db.$disconnect()
      await proxy.close()
    })
    const told = (text: string) => lines.filter((line) => line.includes(text)).length

    const before = await publishedAt(peer.origin)
    proxy.leadTo(1)
    await waitFor(() => {
      proxy.loseNextReply()
      expect(told('signing keys cannot be read')).toBe(1)
    })
    const kid = await rotate()
    await expect(peer.app.engine.refresh()).rejects.toThrow()
    await expect(peer.app.engine.refresh()).rejects.toThrow()
    expect(await publishedAt(peer.origin)).toEqual(before)

    proxy.leadTo(port)
    await waitFor(async () => expect(await publishedAt(peer.origin)).toContain(kid))
    await waitFor(() => expect(told('signing keys can be read again')).toBe(1))
    expect(told('signing keys cannot be read')).toBe(1)
  })

  test('that its sealing keys do not open goes on with those before', async () => {
    const before = await publishedAt(server.issuer)
    const kid = await rotate(createSealer([randomBytes(32).toString('hex')]))
    await expect(server.app.engine.refresh()).rejects.toThrow('no sealing key opens this value')
    expect(await publishedAt(server.issuer)).toEqual(before)
    await server.db.signingKey.delete({ where: { kid: kid ?? '' } })
    await server.app.engine.refresh()
  })
})
