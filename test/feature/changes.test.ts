import { randomUUID } from 'node:crypto'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import { createCache } from '../../src/store/cache.ts'
import { openChanges, type Topic } from '../../src/store/changes.ts'
import { openEphemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'
import { startRedis } from '../support/redis.ts'

const topics: Topic[] = ['client', 'grant', 'member', 'connection', 'resource', 'keys']

/** As a process stands: a store of its own over the Redis all share, and what it heard. */
async function openProcess(prefix: string, redisUrl = inject('redisUrl')) {
  const store = await openEphemeral({ redisUrl, prefix })
  onTestFinished(() => store.close())
  const errors: unknown[] = []
  const changes = await openChanges(store, (error) => errors.push(error))
  const heard: string[] = []
  for (const topic of topics) changes.on(topic, (id) => void heard.push(`${topic} ${id}`))
  return { store, ...changes, heard, errors }
}

test('without a store to listen to there are no changes', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const store = await openEphemeral({ redisUrl: redis.url })
  onTestFinished(() => store.close())
  await redis.kill()
  await expect(openChanges(store, () => {})).rejects.toThrow(StoreUnavailable)
})

test('a change announced while Redis is away is heard here, and whoever announced it goes on', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const { announce, heard, errors } = await openProcess('', redis.url)
  await redis.kill()
  await expect(announce('client', 'shop')).resolves.toBeUndefined()
  expect(heard).toEqual(['client shop'])
  expect(errors).toEqual([expect.any(StoreUnavailable)])
})

test('a listener that throws keeps neither the others nor the announcer from going on', async () => {
  const { announce, on, heard, errors } = await openProcess(randomUUID())
  on('client', () => {
    throw new Error('a listener fails')
  })
  on('client', () => void heard.push('the one after'))
  await expect(announce('client', 'shop')).resolves.toBeUndefined()
  expect(heard).toEqual(['client shop', 'the one after'])
  expect(errors).toEqual([new Error('a listener fails')])
})

test('a message that is no notice is heard by nobody', async () => {
  const { store, announce, heard, errors } = await openProcess('stray:')
  const other = await openProcess('stray:')
  for (const message of ['', 'client', 'other  shop', 'other unknown shop']) {
    await store.publish('changes', message)
  }
  await announce('client', 'shop')
  await vi.waitFor(() => expect(other.heard).toEqual(['client shop']))
  expect([...errors, ...other.errors]).toEqual([])
  expect(heard).toEqual(['client shop'])
})

test('an announcement has been heard here when it returns, and does not come back', async () => {
  const prefix = randomUUID()
  const { announce, heard } = await openProcess(prefix)
  const other = await openProcess(prefix)
  const announced = announce('grant', 'of shop')
  expect(heard).toEqual(['grant of shop'])
  await announced
  await other.announce('keys', '')
  await vi.waitFor(() => expect(heard).toContain('keys '))
  expect(heard).toEqual(['grant of shop', 'keys '])
})

test('each topic is heard by the others, whatever the id', async () => {
  const prefix = randomUUID()
  const { announce, heard } = await openProcess(prefix)
  const other = await openProcess(prefix)
  for (const topic of topics) await announce(topic, '会員 1\n2')
  await vi.waitFor(() => expect(other.heard).toHaveLength(topics.length))
  expect(other.heard).toEqual(heard)
  expect(heard).toEqual(topics.map((topic) => `${topic} 会員 1\n2`))
})

test('two servers in one process hear each other', async () => {
  const store = await openEphemeral({})
  const [one, other] = [await openChanges(store, () => {}), await openChanges(store, () => {})]
  const heard: string[] = []
  one.on('member', (id) => void heard.push(`one ${id}`))
  other.on('member', (id) => void heard.push(`other ${id}`))
  await one.announce('member', 'a')
  expect(heard).toEqual(['one a', 'other a'])
})

test('what another process has cached is gone as soon as it hears of the change', async () => {
  const prefix = randomUUID()
  const [one, other] = [await openProcess(prefix), await openProcess(prefix)]
  let name = 'before'
  // Its clock stands still: nothing but the notice ends an entry.
  const cache = createCache({
    lifetimeMs: 500,
    maxEntries: 10,
    now: () => new Date('2026-01-01T00:00:00Z'),
    load: async () => name,
  })
  other.on('client', cache.drop)
  expect(await cache.get('shop')).toBe('before')
  name = 'after'
  expect(await cache.get('shop')).toBe('before')
  await one.announce('client', 'shop')
  await vi.waitFor(async () => expect(await cache.get('shop')).toBe('after'))
})
