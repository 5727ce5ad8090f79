import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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
