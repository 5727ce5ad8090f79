import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Ephemeral, openEphemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'
import { type RedisServer, redisCli, startRedis } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const eventually = { timeout: 20_000, interval: 50 }

describe('the ephemeral store when Redis fails', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  const open = async (redisUrl: string): Promise<Ephemeral> => {
    const store = await openEphemeral({ redisUrl })
    onTestFinished(() => store.close())
    return store
  }
  const inUseAgain = (store: Ephemeral) => vi.waitFor(() => store.ping(), eventually)

  test('rejects rather than waits while the server is frozen, and works again when it thaws', async () => {
    const store = await open(server.url)
    const key = randomUUID()
    await store.set(key, 'code', 600)
    server.freeze()
    onTestFinished(() => server.thaw())

    const refused = await Promise.allSettled([
      store.get(key),
      store.increment(randomUUID(), 60),
      store.ping(),
    ])
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    await expect(store.take(key)).rejects.toThrow(StoreUnavailable)
    await expect(openEphemeral({ redisUrl: server.url })).rejects.toThrow(StoreUnavailable)

    server.thaw()
    await inUseAgain(store)
    await store.set(key, 'another', 600)
    expect(await store.take(key)).toBe('another')
  })

  test('piles nothing up behind a frozen server: it stops sending and refuses at once', async () => {
    const store = await open(server.url)
    server.freeze()
    onTestFinished(() => server.thaw())
    await vi.waitFor(
      () => expect(store.get('any')).rejects.toThrow(/not connected|enableOfflineQueue/),
      eventually,
    )
    server.thaw()
    await inUseAgain(store)
  })

  test('applies a step once when its reply is lost, and reports it as unknown', async () => {
    const proxy = await startTcpProxy(server.port)
    onTestFinished(() => proxy.close())
    const store = await open(`redis://127.0.0.1:${proxy.port}`)
    const [counter, mark] = [randomUUID(), randomUUID()]
    await store.increment(counter, 600)

    proxy.loseNextReply()
    await expect(store.increment(counter, 600)).rejects.toThrow(StoreUnavailable)
    await inUseAgain(store)
    expect(await store.get(counter)).toBe('2')

    proxy.loseNextReply()
    await expect(store.setIfAbsent(mark, 'first', 600)).rejects.toThrow(StoreUnavailable)
    await inUseAgain(store)
    expect(await store.get(mark)).toBe('first')
  })

  test('uses a server that was killed and came back, scripts included, without a restart of its own', async () => {
    const store = await open(server.url)
    const key = randomUUID()
    await store.increment(key, 600)
    await server.kill()
    await expect(store.get(key)).rejects.toThrow(StoreUnavailable)
    await expect(store.increment(key, 600)).rejects.toThrow(StoreUnavailable)
    await server.restart()
    await inUseAgain(store)
    expect(await store.increment(key, 600)).toEqual({ count: 1, resetSeconds: 600 })
  })

  test('leaves a primary that was demoted, for the one its address leads to', async () => {
    const next = await startRedis()
    onTestFinished(() => next.stop())
    const demoted = await startRedis()
    onTestFinished(() => demoted.stop())
    const proxy = await startTcpProxy(demoted.port)
    onTestFinished(() => proxy.close())
    const store = await open(`redis://127.0.0.1:${proxy.port}`)
    const key = randomUUID()

    proxy.leadTo(next.port)
    await redisCli(demoted.port, 'REPLICAOF', '127.0.0.1', String(next.port))
    await expect(store.set(key, 'a', 600)).rejects.toThrow(/READONLY/)
    await vi.waitFor(() => store.set(key, 'a', 600), eventually)
    expect((await redisCli(next.port, 'KEYS', '*')).trim()).toBe(`hitotsu:${key}`)
  })

  test('publishes and listens at once or not at all while the server is gone', async () => {
    const store = await open(server.url)
    await server.kill()
    await expect(store.publish('channel', 'a')).rejects.toThrow(StoreUnavailable)
    await expect(store.subscribe('channel', () => {})).rejects.toThrow(StoreUnavailable)
    await server.restart()
    const heard: string[] = []
    await vi.waitFor(() => store.subscribe('channel', (message) => void heard.push(message)), eventually)
    await vi.waitFor(() => store.publish('channel', 'b'), eventually)
    await vi.waitFor(() => expect(heard).toEqual(['b']), eventually)
  })

  test('hears on every channel again after its listening connection was cut, or the server restarted', async () => {
    const store = await open(server.url)
    const heard = new Set<string>()
    const hear = (message: string) => void heard.add(message)
    await Promise.all([store.subscribe('a', hear), store.subscribe('b', hear)])
    const isHeardAgain = (messages: string[]) =>
      vi.waitFor(async () => {
        await Promise.all([store.publish('a', messages[0] ?? ''), store.publish('b', messages[1] ?? '')])
        expect([...heard]).toEqual(expect.arrayContaining(messages))
      }, eventually)
    await isHeardAgain(['a before', 'b before'])

    expect(Number(await redisCli(server.port, 'CLIENT', 'KILL', 'TYPE', 'pubsub'))).toBe(1)
    await isHeardAgain(['a after', 'b after'])

    await server.kill()
    await server.restart()
    await isHeardAgain(['a at last', 'b at last'])
  })

  test('does not wait for messages of a server that hangs, and hears those of the one in its place', async () => {
    const hanging = await startRedis()
    onTestFinished(() => hanging.stop())
    const next = await startRedis()
    onTestFinished(() => next.stop())
    const proxy = await startTcpProxy(hanging.port)
    onTestFinished(() => proxy.close())
    const [listening, sending] = [await open(`redis://127.0.0.1:${proxy.port}`), await open(next.url)]
    const heard = new Set<string>()
    await listening.subscribe('channel', (message) => void heard.add(message))

    proxy.leadTo(next.port)
    hanging.freeze()
    await vi.waitFor(async () => {
      await sending.publish('channel', 'a')
      expect(heard).toContain('a')
    }, eventually)
    hanging.thaw()
  })

  test('refuses writes that do not fit, drops nothing, and reads on', async () => {
    const full = await startRedis(['--maxmemory', '3mb', '--maxmemory-policy', 'noeviction'])
    onTestFinished(() => full.stop())
    const store = await open(full.url)
    const keys = Array.from({ length: 100 }, () => randomUUID())
    const writes = await Promise.allSettled(keys.map((key) => store.set(key, 'a'.repeat(50_000), 600)))
    const acknowledged = keys.filter((_, index) => writes[index]?.status === 'fulfilled')
    expect(acknowledged.length).toBeLessThan(keys.length)
    const kept = await Promise.all(acknowledged.map((key) => store.get(key)))
    expect(kept.filter((value) => value === undefined)).toEqual([])
  })
})
