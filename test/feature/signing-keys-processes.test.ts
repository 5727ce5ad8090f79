import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { KeyPolicy } from '../../src/oidc/keys/plan.ts'
import { removeSigningKey, rotateSigningKey } from '../../src/oidc/keys/rotate.ts'
import { runKeySchedule } from '../../src/oidc/keys/schedule.ts'
import { readKeyFacts } from '../../src/oidc/keys/signing-key.ts'
import { systemRandom } from '../../src/security/random.ts'
import { createSealer } from '../../src/security/seal.ts'
import { openDb } from '../../src/store/db.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { send } from '../support/post.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const policy: KeyPolicy = { rotationDays: 90, publishAheadSeconds: 86_400, retiredDays: 7 }

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const making = () => ({ db: server.db, sealer: server.sealer, random: systemRandom })
const rotate = () => rotateSigningKey(making(), 'ES256', server.now(), server.now())
const newestFirst = async () => (await readKeyFacts(server.db)).filter(({ alg }) => alg === 'ES256').reverse()
const publishedAt = async (origin: string) => {
  const { json } = await send(`${origin}/jwks`, { headers: { host: new URL(server.issuer).host } })
  return (json.keys as { kid: string }[]).map(({ kid }) => kid)
}
const waitFor = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 15_000 })

describe('processes that do the same at the same moment', () => {
  test('make one key of each algorithm, destroy each once, and write one event for each', async () => {
    const facts = await readKeyFacts(server.db)
    const before = await server.db.event.count()
    // Half a year later, as three processes see it that have all read the same.
    const later = new Date(server.now().getTime() + 180 * 86_400_000)
    const retired = facts.map((key) => ({ ...key, retiredAt: server.now() }))
    for (const seen of [facts, retired])
      await Promise.all([1, 2, 3].map(() => runKeySchedule(making(), seen, policy, later)))
    const after = await readKeyFacts(server.db)
    expect(after.filter(({ position }) => position === 1).map(({ alg }) => alg)).toEqual([
      'ES256',
      'EdDSA',
      'PS256',
      'RS256',
    ])
    expect(after).toHaveLength(8)
    expect(after.filter(({ destroyedAt }) => destroyedAt !== null)).toHaveLength(4)
    expect((await server.db.event.count()) - before).toBe(8)
  })

  test('two who end the last two keys of an algorithm leave one', async () => {
    const kid = await rotate()
    const other = await rotate()
    const now = server.now()
    for (const { kid: older } of (await newestFirst()).slice(2))
      await removeSigningKey(server.db, older, 'destroy', now)
    const outcomes = await Promise.all(
      [kid, other].map((one) => removeSigningKey(server.db, one ?? '', 'destroy', now)),
    )
    expect(outcomes.sort()).toEqual(['done', 'needed'])
  })
})

test('what is unknown, or over already, is told apart', async () => {
  const kid = (await rotate()) ?? ''
  await rotate()
  const ask = (id: string, removal: 'retire' | 'destroy') =>
    removeSigningKey(server.db, id, removal, server.now())
  expect(await ask('nobody', 'destroy')).toBe('unknown')
  expect([await ask(kid, 'retire'), await ask(kid, 'retire')]).toEqual(['done', 'unchanged'])
  expect([await ask(kid, 'destroy'), await ask(kid, 'destroy')]).toEqual(['done', 'unchanged'])
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
    const strange = { ...making(), sealer: createSealer([randomBytes(32).toString('hex')]) }
    const kid = await rotateSigningKey(strange, 'ES256', server.now(), server.now())
    await expect(server.app.engine.refresh()).rejects.toThrow('no sealing key opens this value')
    expect(await publishedAt(server.issuer)).toEqual(before)
    await server.db.signingKey.delete({ where: { kid: kid ?? '' } })
    await server.app.engine.refresh()
  })
})
