import { describe, expect, test } from 'vitest'
import { guarded, openEphemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'
import { openMemoryStore } from '../../src/store/ephemeral-memory.ts'
import { ephemeralContract } from '../support/ephemeral-contract.ts'

function clock() {
  let time = Date.parse('2026-01-01T00:00:00Z')
  return {
    now: () => new Date(time),
    elapse: (seconds: number) => {
      time += seconds * 1000
    },
  }
}

ephemeralContract('of a single process', async () => {
  const { now, elapse } = clock()
  return { store: await openEphemeral({ now }), elapse }
})

describe('messages in a single process', () => {
  test('are heard in their order before publishing returns', async () => {
    const store = await openEphemeral({})
    const heard: string[] = []
    await store.subscribe('channel', (message) => void heard.push(message))
    const published = ['1', '2', '3'].map((message) => store.publish('channel', message))
    expect(heard).toEqual(['1', '2', '3'])
    await Promise.all(published)
  })

  test('report a listener that throws', async () => {
    const reported: unknown[] = []
    const store = await openEphemeral({ onError: (error) => reported.push(error.message) })
    await store.subscribe('channel', () => {
      throw new Error('a listener fails')
    })
    await store.publish('channel', 'a')
    expect(reported).toEqual(['a listener fails'])
  })
})

describe('the memory of the in-process store', () => {
  const limited = (limit: number) => {
    const { now, elapse } = clock()
    return { store: guarded(openMemoryStore({ now, limit })), elapse }
  }

  test('is bounded: a write past it is refused and nothing already held is dropped', async () => {
    const { store } = limited(1000)
    await store.set('held', 'a'.repeat(500), 60)
    await expect(store.set('more', 'a'.repeat(500), 60)).rejects.toThrow(StoreUnavailable)
    await expect(store.setIfAbsent('more', 'a'.repeat(500), 60)).rejects.toThrow(StoreUnavailable)
    await expect(store.replace('held', 'a'.repeat(500), 'a'.repeat(1000))).rejects.toThrow(StoreUnavailable)
    expect(await store.get('held')).toBe('a'.repeat(500))
    expect(await store.get('more')).toBeUndefined()
  })

  test('counts empty values too', async () => {
    const { store } = limited(1000)
    const writes = Array.from({ length: 50 }, (_, index) => store.set(`key${index}`, '', 60))
    const refused = (await Promise.allSettled(writes)).filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
  })

  test('is free again after a delete, a take and a shorter value', async () => {
    const { store } = limited(1000)
    const large = 'a'.repeat(700)
    await store.set('key', large, 60)
    await store.delete('key')
    await store.set('key', large, 60)
    expect(await store.take('key')).toBe(large)
    await store.set('key', large, 60)
    await store.set('key', 'a', 60)
    await store.set('other', 'a'.repeat(500), 60)
    expect(await store.get('key')).toBe('a')
  })

  test('is free again when values have ended, without their being asked for', async () => {
    const { store, elapse } = limited(12_000)
    for (let index = 0; index < 100; index++) await store.set(`key${index}`, 'a', 5)
    await expect(store.set('large', 'a'.repeat(11_000), 5)).rejects.toThrow(StoreUnavailable)
    elapse(5)
    await store.set('large', 'a'.repeat(11_000), 5)
    expect((await store.get('large'))?.length).toBe(11_000)
  })

  test('is freed a little by each write, even while a look at everything was just taken', async () => {
    const { store, elapse } = limited(2000)
    for (let index = 0; index < 15; index++) await store.set(`key${index}`, 'a', 1)
    elapse(0.9)
    await expect(store.set('large', 'a'.repeat(1500), 5)).rejects.toThrow(StoreUnavailable)
    elapse(0.1)
    await store.set('large', 'a'.repeat(1500), 5)
    expect((await store.get('large'))?.length).toBe(1500)
  })
})
