import type { Result } from 'ioredis'
import { type Cluster, Redis } from 'ioredis'
import { createSubscriber } from './ephemeral-redis-subscriber.ts'
import { connectRedis, nodeConnections } from './redis-connection.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    replaceIfEqual(key: string, expected: string, value: string): Result<number, Context>
    incrementWindow(key: string, ttlMilliseconds: number): Result<[number, number], Context>
  }
}

const scripts = {
  replaceIfEqual: {
    numberOfKeys: 1,
    lua: `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`,
  },
  // A counter found without an expiry is given one, so that no key outlives its window for ever.
  incrementWindow: {
    numberOfKeys: 1,
    lua: `local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {count, left}`,
  },
}

/**
 * The ephemeral store on Redis or a Redis Cluster: each operation is one command or one script on one key,
 * sent at most once, answered or rejected within the command time-out.
 */
export async function openRedisStore(
  url: string,
  options: { prefix: string; onError: (error: Error) => void },
) {
  const client = await connectRedis(url, { keyPrefix: options.prefix, scripts, onError: options.onError })
  const subscriber = createSubscriber({ ...options, nextConnection: nodeConnections(client) })
  // A cluster client queues without a deadline while it has no connection; refusing is what callers can act on.
  const ready = (): Redis | Cluster => {
    if (client.status === 'ready') return client
    throw new Error(`not connected (${client.status})`)
  }
  return {
    get: async (key: string) => (await ready().get(key)) ?? undefined,
    getMany: async (keys: readonly string[]) =>
      (await ready().mget(...keys)).map((value) => value ?? undefined),
    set: async (key: string, value: string, ttlSeconds: number) => {
      await ready().set(key, value, 'EX', ttlSeconds)
    },
    setIfAbsent: async (key: string, value: string, ttlSeconds: number) =>
      (await ready().set(key, value, 'EX', ttlSeconds, 'NX')) === 'OK',
    take: async (key: string) => (await ready().getdel(key)) ?? undefined,
    replace: async (key: string, expected: string, value: string) =>
      (await ready().replaceIfEqual(key, expected, value)) === 1,
    delete: async (...keys: string[]) => {
      await Promise.all(keys.map((key) => ready().del(key)))
    },
    increment: async (key: string, ttlSeconds: number) => {
      const [count, left] = await ready().incrementWindow(key, ttlSeconds * 1000)
      return { count, resetSeconds: Math.max(1, Math.ceil(left / 1000)) }
    },
    // The prefix is put before keys by the client, before channels by us.
    publish: async (channel: string, message: string) => {
      await ready().publish(options.prefix + channel, message)
    },
    subscribe: subscriber.subscribe,
    ping: () => ping(ready()),
    close: async () => {
      subscriber.close()
      await client.quit().catch(() => client.disconnect())
    },
  }
}

/** A cluster answers only when each of its masters does. */
async function ping(client: Redis | Cluster): Promise<void> {
  const nodes = client instanceof Redis ? [client] : client.nodes('master')
  await Promise.all(nodes.map((node) => node.ping()))
}
