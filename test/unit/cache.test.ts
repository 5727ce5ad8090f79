import { expect, test } from 'vitest'
import { createCache } from '../../src/store/cache.ts'

const start = Date.parse('2026-01-01T00:00:00Z')

/** A cache of 500 ms and three entries over a store whose loads the test answers, in the order they began. */
function given() {
  let time = start
  const loads: { key: string; answer: (value: string | null | undefined) => void; fail: () => void }[] = []
  const cache = createCache<string | null | undefined>({
    lifetimeMs: 500,
    maxEntries: 3,
    now: () => new Date(time),
    load: (key) =>
      new Promise((answer, reject) => {
        loads.push({ key, answer, fail: () => reject(new Error(`${key} cannot be read`)) })
      }),
  })
  return {
    ...cache,
    /** Asks, and answers if that began a load. */
    fill: async (key: string, value: string) => {
      const before = loads.length
      const got = cache.get(key)
      loads[before]?.answer(value)
      return await got
    },
    answer: (index: number, value: string | null | undefined) => loads[index]?.answer(value),
    fail: (index: number) => loads[index]?.fail(),
    loads: () => loads.map(({ key }) => key),
    elapse: (milliseconds: number) => {
      time += milliseconds
    },
  }
}

test('a load that fails, fails for all who wait for it and is not kept', async () => {
  const { get, fail, fill } = given()
  const waiting = Promise.allSettled([get('a'), get('a')])
  fail(0)
  expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await fill('a', 'read again')).toBe('read again')
})

test.each([undefined, null])('what does not exist (%s) is asked for again', async (nothing) => {
  const { get, answer, fill, loads } = given()
  const got = get('a')
  answer(0, nothing)
  expect(await got).toBe(nothing)
  expect(await fill('a', 'created')).toBe('created')
  expect(loads()).toEqual(['a', 'a'])
})

test('what does not exist drives out nothing that does', async () => {
  const { get, answer, fill, loads } = given()
  await fill('a', '1')
  for (const [index, key] of ['x', 'y', 'z'].entries()) {
    const got = get(key)
    answer(index + 1, undefined)
    await got
  }
  expect(await fill('a', '2')).toBe('1')
  expect(loads()).toEqual(['a', 'x', 'y', 'z'])
})

test('callers at the same moment share one load per key', async () => {
  const { get, answer, loads } = given()
  const got = Promise.all([get('a'), get('b'), get('a')])
  answer(0, '1')
  answer(1, '2')
  expect(await got).toEqual(['1', '2', '1'])
  expect(loads()).toEqual(['a', 'b'])
})

test('an empty value is kept like any other', async () => {
  const { fill, loads } = given()
  await fill('a', '')
  expect(await fill('a', 'other')).toBe('')
  expect(loads()).toEqual(['a'])
})

test('a value is kept until its lifetime is over, and not a moment longer', async () => {
  const { fill, elapse } = given()
  await fill('a', '1')
  elapse(499)
  expect(await fill('a', '2')).toBe('1')
  elapse(1)
  expect(await fill('a', '3')).toBe('3')
})

test('age is counted from when the load began', async () => {
  const { get, answer, fill, elapse } = given()
  const slow = get('a')
  elapse(400)
  answer(0, '1')
  await slow
  elapse(99)
  expect(await fill('a', '2')).toBe('1')
  elapse(1)
  expect(await fill('a', '3')).toBe('3')
})

test('nobody waits for a load older than the lifetime, whose value the next one replaces', async () => {
  const { get, answer, fill, elapse } = given()
  const hanging = get('a')
  elapse(500)
  expect(await fill('a', 'young')).toBe('young')
  answer(0, 'old')
  expect(await hanging).toBe('old')
  expect(await fill('a', 'another')).toBe('young')
})

test('what is dropped is read again, and nothing else is', async () => {
  const { fill, drop, loads } = given()
  await fill('a', '1')
  await fill('b', '1')
  drop('a')
  expect([await fill('a', '2'), await fill('b', '2')]).toEqual(['2', '1'])
  expect(loads()).toEqual(['a', 'b', 'a'])
})

test('a value dropped while it is read goes to those who wait for it and is not kept', async () => {
  const { get, drop, answer, fill } = given()
  const before = get('a')
  drop('a')
  answer(0, 'before the change')
  expect(await before).toBe('before the change')
  expect(await fill('a', 'after the change')).toBe('after the change')
})

test('whoever asks after a drop does not get the value read before it, however late that comes', async () => {
  const { get, drop, answer, fill } = given()
  const before = get('a')
  drop('a')
  expect(await fill('a', 'after the change')).toBe('after the change')
  answer(0, 'before the change')
  await before
  expect(await fill('a', 'another')).toBe('after the change')
})

test('clearing drops everything, also what is being read', async () => {
  const { get, clear, answer, fill } = given()
  await fill('a', '1')
  const before = get('b')
  clear()
  answer(1, '1')
  await before
  expect([await fill('a', '2'), await fill('b', '2')]).toEqual(['2', '2'])
})

test('over the bound the one kept longest goes, and reading again counts anew', async () => {
  const { fill, drop, loads } = given()
  for (const key of ['a', 'b', 'c']) await fill(key, '1')
  drop('a')
  await fill('a', '2')
  await fill('d', '2')
  expect(await Promise.all(['c', 'a', 'd'].map((key) => fill(key, '3')))).toEqual(['1', '2', '2'])
  expect(await fill('b', '3')).toBe('3')
  expect(loads()).toEqual(['a', 'b', 'c', 'a', 'd', 'b'])
})

test('a clock set back gives no value more life, not even when it comes to that time again', async () => {
  const { get, fail, fill, elapse } = given()
  await fill('a', '1')
  elapse(-60_000)
  expect(await fill('a', '2')).toBe('2')

  await fill('b', '1')
  elapse(600)
  const failing = get('b')
  fail(3)
  await expect(failing).rejects.toThrow()
  elapse(-300)
  expect(await fill('b', '2')).toBe('2')
})
