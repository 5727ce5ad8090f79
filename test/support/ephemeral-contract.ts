import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Ephemeral, StoreUnavailable } from '../../src/store/ephemeral.ts'

export interface OpenedStore {
  store: Ephemeral
  /** Lets time pass where the clock is ours; where it is the server's, the test waits for it. */
  elapse?: (seconds: number) => void
}

const many = Array.from({ length: 50 }, (_, index) => String(index))
const eventually = { timeout: 10_000, interval: 50 }

/** What every implementation of `Ephemeral` keeps to, told once. */
export function ephemeralContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`the ephemeral store ${name}`, () => {
    let store: Ephemeral
    let elapse: (seconds: number) => void
    beforeAll(async () => {
      const opened = await open()
      store = opened.store
      elapse = opened.elapse ?? (() => undefined)
    })
    afterAll(() => store.close())

    test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses a TTL of %s', async (ttl) => {
      const key = randomUUID()
      await expect(store.set(key, 'a', ttl)).rejects.toThrow(RangeError)
      await expect(store.setIfAbsent(key, 'a', ttl)).rejects.toThrow(RangeError)
      await expect(store.increment(key, ttl)).rejects.toThrow(RangeError)
      expect(await store.get(key)).toBeUndefined()
    })

    test('refuses to read together keys that may lie on different nodes', async () => {
      await expect(store.getMany([randomUUID(), randomUUID()])).rejects.toThrow(RangeError)
      await expect(store.getMany(['{a}:1', '{b}:1'])).rejects.toThrow(RangeError)
    })

    test('refuses to count on a value that is not a counter, and leaves it', async () => {
      const key = randomUUID()
      await store.set(key, 'text', 60)
      await expect(store.increment(key, 60)).rejects.toThrow(StoreUnavailable)
      expect(await store.get(key)).toBe('text')
    })

    test('knows nothing of a key never set', async () => {
      const key = randomUUID()
      expect(await store.get(key)).toBeUndefined()
      expect(await store.take(key)).toBeUndefined()
      expect(await store.replace(key, '', 'a')).toBe(false)
      await store.delete(key)
      expect(await store.getMany([])).toEqual([])
    })

    test('gives back what was set last, whatever the characters', async () => {
      const key = `会員:${randomUUID()}`
      await store.set(key, 'first', 60)
      await store.set(key, '{"名前":"山田 花子 🗻"}\r\n\0', 60)
      expect(await store.get(key)).toBe('{"名前":"山田 花子 🗻"}\r\n\0')
      await store.set(key, '', 60)
      expect(await store.get(key)).toBe('')
    })

    test('reads keys of one hash tag together, in their order', async () => {
      const tag = `{${randomUUID()}}`
      await store.set(`${tag}:a`, '1', 60)
      await store.set(`${tag}:c`, '3', 60)
      expect(await store.getMany([`${tag}:c`, `${tag}:b`, `${tag}:a`])).toEqual(['3', undefined, '1'])
    })

    test('deletes any number of keys wherever they lie, and no other', async () => {
      const keys = many.map((index) => `${randomUUID()}:${index}`)
      await Promise.all(keys.map((key) => store.set(key, 'a', 60)))
      const [kept = '', ...deleted] = keys
      await store.delete(...deleted)
      expect(await Promise.all(deleted.map((key) => store.get(key)))).toEqual(deleted.map(() => undefined))
      expect(await store.get(kept)).toBe('a')
    })

    test('lets exactly one of 50 callers take a value', async () => {
      const key = randomUUID()
      await store.set(key, 'code', 60)
      const taken = await Promise.all(many.map(() => store.take(key)))
      expect(taken.filter((value) => value !== undefined)).toEqual(['code'])
      expect(await store.get(key)).toBeUndefined()
    })

    test('lets exactly one of 50 callers set what is absent, and keeps its value', async () => {
      const key = randomUUID()
      const won = await Promise.all(many.map((value) => store.setIfAbsent(key, value, 60)))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await store.get(key)).toBe(many[won.indexOf(true)])
    })

    test('lets exactly one of 50 callers replace a value, and keeps that one', async () => {
      const key = randomUUID()
      await store.set(key, 'fresh', 60)
      const won = await Promise.all(many.map((value) => store.replace(key, 'fresh', value)))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await store.get(key)).toBe(many[won.indexOf(true)])
    })

    test('loses no step of 50 counted at once', async () => {
      const key = randomUUID()
      const steps = await Promise.all(many.map(() => store.increment(key, 60)))
      expect(steps.map((step) => step.count).sort((a, b) => a - b)).toEqual(many.map((_, index) => index + 1))
    })

    test('keeps the window that the first step opened, and tells what remains of it', async () => {
      const key = randomUUID()
      const first = await store.increment(key, 100)
      const second = await store.increment(key, 5000)
      expect(first.resetSeconds).toBe(100)
      expect(second.count).toBe(2)
      expect(second.resetSeconds).toBeLessThanOrEqual(100)
    })

    test('keeps the remaining time of a value it replaces', async () => {
      const key = randomUUID()
      await store.set(key, '1', 100)
      expect(await store.replace(key, '1', '7')).toBe(true)
      const step = await store.increment(key, 5000)
      expect(step.count).toBe(8)
      expect(step.resetSeconds).toBeLessThanOrEqual(100)
    })

    test('forgets each kind of value when its time is over', async () => {
      const [set, absent, counted, replaced] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
      await store.set(set, 'a', 1)
      await store.setIfAbsent(absent, 'a', 1)
      await store.increment(counted, 1)
      await store.set(replaced, 'a', 1)
      await store.replace(replaced, 'a', 'b')
      elapse(1)
      await vi.waitFor(async () => {
        const values = await Promise.all([set, absent, counted, replaced].map((key) => store.get(key)))
        expect(values).toEqual([undefined, undefined, undefined, undefined])
      }, eventually)
      expect(await store.take(set)).toBeUndefined()
      expect(await store.replace(replaced, 'b', 'c')).toBe(false)
      expect(await store.setIfAbsent(absent, 'b', 60)).toBe(true)
      expect((await store.increment(counted, 60)).count).toBe(1)
    })

    test('publishes to nobody without complaint', async () => {
      await expect(store.publish(randomUUID(), 'a')).resolves.toBeUndefined()
    })

    test('brings a message to every listener of its channel and to no other', async () => {
      const [channel, other] = [`変更:${randomUUID()}`, randomUUID()]
      const heard: string[] = []
      const listen = (name: string) => (message: string) => void heard.push(`${name} ${message}`)
      await Promise.all([
        store.subscribe(channel, listen('first')),
        store.subscribe(channel, listen('second')),
        store.subscribe(other, listen('other')),
      ])
      await store.publish(channel, '{"名前":"花子 🗻"}\r\n\0')
      await vi.waitFor(() => expect(heard).toHaveLength(2), eventually)
      await store.publish(other, '')
      await vi.waitFor(() => expect(heard).toHaveLength(3), eventually)
      expect(heard).toEqual(['first {"名前":"花子 🗻"}\r\n\0', 'second {"名前":"花子 🗻"}\r\n\0', 'other '])
    })

    test('does not call a listener again that left, while others stay and come back', async () => {
      const channel = randomUUID()
      const heard: string[] = []
      const listen = (name: string) => () => void heard.push(name)
      const leave = await store.subscribe(channel, listen('left'))
      const leaveLast = await store.subscribe(channel, listen('stayed'))
      await leave()
      await leave()
      await store.publish(channel, 'a')
      await vi.waitFor(() => expect(heard).toEqual(['stayed']), eventually)

      await leaveLast()
      await store.publish(channel, 'b')
      await Promise.all([leaveLast(), store.subscribe(channel, listen('back'))])
      await store.publish(channel, 'c')
      await vi.waitFor(() => expect(heard).toContain('back'), eventually)
      expect(heard.filter((name) => name !== 'back')).toEqual(['stayed'])
    })

    test('keeps a listener that throws from nobody but itself', async () => {
      const channel = randomUUID()
      const heard: string[] = []
      await store.subscribe(channel, () => {
        throw new Error('a listener fails')
      })
      await store.subscribe(channel, (message) => void heard.push(message))
      await store.publish(channel, 'a')
      await vi.waitFor(() => expect(heard).toEqual(['a']), eventually)
    })

    test('answers a ping', async () => {
      await expect(store.ping()).resolves.toBeUndefined()
    })

    test('refuses everything once closed, and closing twice is harmless', async () => {
      const { store: closing } = await open()
      await closing.close()
      await closing.close()
      await expect(closing.get(randomUUID())).rejects.toThrow(StoreUnavailable)
      await expect(closing.publish(randomUUID(), 'a')).rejects.toThrow(StoreUnavailable)
      await expect(closing.subscribe(randomUUID(), () => {})).rejects.toThrow(StoreUnavailable)
      await expect(closing.ping()).rejects.toThrow(StoreUnavailable)
    })
  })
}
