import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Ephemeral, openEphemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'
import { ephemeralContract } from '../support/ephemeral-contract.ts'
import { redisCli, startRedis, startRedisCluster } from '../support/redis.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

let cluster: Awaited<ReturnType<typeof startRedisCluster>>
beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterAll(() => cluster.stop())

const eventually = { timeout: 25_000, interval: 100 }
const keys = Array.from({ length: 200 }, () => randomUUID())
const open = async (): Promise<Ephemeral> => {
  const store = await openEphemeral({ redisUrl: cluster.url })
  onTestFinished(() => store.close())
  return store
}

ephemeralContract('on a Redis Cluster', async () => ({
  store: await openEphemeral({ redisUrl: cluster.url }),
}))

describe('the ephemeral store on a Redis Cluster that changes', () => {
  test('refuses to take one node of a cluster for a Redis of its own', async () => {
    const [node] = cluster.servers
    await expect(openEphemeral({ redisUrl: node?.url })).rejects.toThrow(/node of a cluster/)
  })

  test('loses no step and refuses none while slots move between nodes', async () => {
    const store = await open()
    const [from, to] = await masters()
    const resharding = redisCli(
      from?.port ?? 0,
      ...['--cluster', 'reshard', `127.0.0.1:${from?.port}`, '--cluster-from', from?.id ?? ''],
      ...['--cluster-to', to?.id ?? '', '--cluster-slots', '1000', '--cluster-yes'],
    )
    let moving = true
    const moved = resharding.finally(() => {
      moving = false
    })
    let rounds = 0
    for (; moving || rounds === 0; rounds++) await Promise.all(keys.map((key) => store.increment(key, 600)))
    await moved
    expect(await Promise.all(keys.map((key) => store.get(key)))).toEqual(keys.map(() => String(rounds)))
  })

  test('refuses only what a killed master held, and takes its replica as soon as it is promoted', async () => {
    const store = await open()
    const [, , victim] = await masters()
    const server = cluster.servers.find(({ port }) => port === victim?.port)
    await Promise.all(keys.map((key) => store.set(key, 'a', 600)))
    await server?.kill()
    const answers = await Promise.allSettled(keys.map((key) => store.set(key, 'b', 600)))
    const refused = answers.filter((answer) => answer.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(keys.length)
    for (const answer of refused) expect(answer.reason).toBeInstanceOf(StoreUnavailable)

    await vi.waitFor(() => Promise.all(keys.map((key) => store.set(key, 'c', 600))), eventually)
    await store.ping()
    expect(await Promise.all(keys.map((key) => store.get(key)))).toEqual(keys.map(() => 'c'))
  })

  test('answers for the other masters while one is frozen, and for all when it thaws', async () => {
    const store = await open()
    const [victim] = await masters()
    const server = cluster.servers.find(({ port }) => port === victim?.port)
    server?.freeze()
    onTestFinished(() => server?.thaw())
    const answers = await Promise.allSettled(keys.map((key) => store.set(key, 'd', 600)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['fulfilled', 'rejected']))
    server?.thaw()
    await vi.waitFor(() => Promise.all(keys.map((key) => store.set(key, 'e', 600))), eventually)
    expect(await Promise.all(keys.map((key) => store.get(key)))).toEqual(keys.map(() => 'e'))
  })

  test('applies a step once when its reply is lost, and reports it as unknown', async () => {
    const server = await startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'])
    onTestFinished(() => server.stop())
    const proxy = await startTcpProxy(server.port)
    onTestFinished(() => proxy.close())
    await redisCli(server.port, 'CONFIG', 'SET', 'cluster-announce-port', String(proxy.port))
    await redisCli(server.port, 'CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    const store = await vi.waitFor(
      () => openEphemeral({ redisUrl: `redis://127.0.0.1:${proxy.port},` }),
      eventually,
    )
    onTestFinished(() => store.close())
    const key = randomUUID()
    await store.increment(key, 600)

    proxy.loseNextReply()
    await expect(store.increment(key, 600)).rejects.toThrow(StoreUnavailable)
    await vi.waitFor(() => store.ping(), eventually)
    expect(await store.get(key)).toBe('2')
  })

  test('brings messages to other processes, and again when the node that passed them on is gone', async () => {
    const [here, there] = [await open(), await open()]
    const heard = new Set<string>()
    await there.subscribe('channel', (message) => void heard.add(message))
    const isHeard = (message: string) =>
      vi.waitFor(async () => {
        await here.publish('channel', message)
        expect(heard).toContain(message)
      }, eventually)
    await isHeard('first')

    const passing = await listenedAt('hitotsu:channel')
    expect(passing).toHaveLength(1)
    await passing[0]?.kill()
    await isHeard('second')
  })
})

async function listenedAt(channel: string) {
  const running = cluster.servers.filter((server) => server.running)
  const answers = await Promise.all(running.map(({ port }) => redisCli(port, 'PUBSUB', 'CHANNELS', channel)))
  return running.filter((_, index) => answers[index]?.trim() === channel)
}

async function masters(): Promise<{ id: string; port: number }[]> {
  const any = cluster.servers.find((server) => server.running)
  const lines = (await redisCli(any?.port ?? 0, 'cluster', 'nodes')).split('\n')
  return lines
    .filter((line) => line.includes('master') && !line.includes('fail'))
    .map((line) => ({ id: line.slice(0, 40), port: Number(/:(\d+)@/.exec(line)?.[1]) }))
}
