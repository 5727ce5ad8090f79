import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { openEphemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'
import { ephemeralContract } from '../support/ephemeral-contract.ts'
import { type RedisServer, redisCli, startRedis } from '../support/redis.ts'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

ephemeralContract('on Redis', async () => ({ store: await openEphemeral({ redisUrl: server.url }) }))

describe('opening the ephemeral store on Redis', () => {
  test('fails when nothing listens there', async () => {
    const gone = await startRedis()
    await gone.stop()
    await expect(openEphemeral({ redisUrl: gone.url })).rejects.toThrow(StoreUnavailable)
  })

  test('fails when the server would evict keys, and says what to set', async () => {
    const evicting = await startRedis(['--maxmemory', '10mb', '--maxmemory-policy', 'allkeys-lru'])
    try {
      await expect(openEphemeral({ redisUrl: evicting.url })).rejects.toThrow(/maxmemory-policy noeviction/)
    } finally {
      await evicting.stop()
    }
  })

  test('fails with a prefix that would take the place of the hash tag of every key', async () => {
    await expect(openEphemeral({ redisUrl: server.url, prefix: '{hitotsu}' })).rejects.toThrow(RangeError)
  })

  test('fails with a wrong password', async () => {
    const closed = await startRedis(['--requirepass', 'right'])
    try {
      const url = closed.url.replace('redis://', 'redis://:wrong@')
      await expect(openEphemeral({ redisUrl: url })).rejects.toThrow(StoreUnavailable)
    } finally {
      await closed.stop()
    }
  })

  test('succeeds where the account may ask for neither CONFIG nor INFO', async () => {
    await redisCli(server.port, 'ACL', 'SETUSER', 'guest', 'on', '>secret', '~*', '+@all', '-config', '-info')
    const store = await openEphemeral({ redisUrl: server.url.replace('redis://', 'redis://guest:secret@') })
    await store.set('by-guest', 'a', 60)
    expect(await store.take('by-guest')).toBe('a')
    await store.close()
  })

  test('puts the prefix before every key, scripts included, and every key ends by itself', async () => {
    const store = await openEphemeral({ redisUrl: server.url, prefix: 'shop:' })
    await store.set('set', 'a', 60)
    await store.increment('counted', 60)
    await store.replace('set', 'a', 'b')
    expect((await redisCli(server.port, 'KEYS', 'shop:*')).trim().split('\n').sort()).toEqual([
      'shop:counted',
      'shop:set',
    ])
    expect(Number(await redisCli(server.port, 'TTL', 'shop:set'))).toBeGreaterThan(0)
    expect(Number(await redisCli(server.port, 'TTL', 'shop:counted'))).toBeGreaterThan(0)
    await store.close()
  })
})

describe('messages through Redis', () => {
  const open = async (prefix: string) => {
    const store = await openEphemeral({ redisUrl: server.url, prefix })
    onTestFinished(() => store.close())
    return store
  }
  /** What listens on the server: nothing must be kept there that nobody waits for. */
  const listenedTo = async (pattern: string) =>
    (await redisCli(server.port, 'PUBSUB', 'CHANNELS', pattern)).trim().split('\n').filter(Boolean)

  test('do not pass between stores of different prefixes, and do between those of one, in their order', async () => {
    const [here, there, elsewhere] = [await open('here:'), await open('here:'), await open('elsewhere:')]
    const heard: string[] = []
    await there.subscribe('channel', (message) => void heard.push(`there ${message}`))
    await elsewhere.subscribe('channel', (message) => void heard.push(`elsewhere ${message}`))
    await Promise.all(['1', '2', '3'].map((message) => here.publish('channel', message)))
    await elsewhere.publish('channel', '4')
    const expected = ['there 1', 'there 2', 'there 3', 'elsewhere 4']
    await vi.waitFor(() => expect([...heard].sort()).toEqual([...expected].sort()))
    expect(heard.filter((message) => message.startsWith('there'))).toEqual(expected.slice(0, 3))
  })

  test('take a connection of their own from the first listener on, which ends with the store', async () => {
    const clients = () => redisCli(server.port, 'CLIENT', 'LIST', 'TYPE', 'pubsub')
    const before = (await clients()).split('\n').length
    const store = await open('counted:')
    await store.publish('a', 'unheard')
    expect((await clients()).split('\n')).toHaveLength(before)
    const leave = await store.subscribe('a', () => {})
    await store.subscribe('b', () => {})
    expect((await clients()).split('\n')).toHaveLength(before + 1)
    expect((await listenedTo('counted:*')).sort()).toEqual(['counted:a', 'counted:b'])

    await leave()
    expect(await listenedTo('counted:*')).toEqual(['counted:b'])
    await store.close()
    await vi.waitFor(async () => expect(await listenedTo('counted:*')).toEqual([]))
  })

  test('are refused to an account that may not listen, until it may', async () => {
    await redisCli(server.port, 'ACL', 'SETUSER', 'deaf', 'on', '>secret', '~*', '+@all', 'resetchannels')
    const url = server.url.replace('redis://', 'redis://deaf:secret@')
    const store = await openEphemeral({ redisUrl: url, prefix: 'deaf:' })
    onTestFinished(() => store.close())
    await expect(store.subscribe('a', () => {})).rejects.toThrow(/NOPERM/)
    await expect(store.publish('a', 'b')).rejects.toThrow(StoreUnavailable)
    await store.set('key', 'a', 60)
    await redisCli(server.port, 'ACL', 'SETUSER', 'deaf', '&deaf:*')
    await (await store.subscribe('a', () => {}))()
  })
})
