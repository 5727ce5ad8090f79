import { describe, expect, test } from 'vitest'
import { inBatches } from '../../src/store/batch.ts'

describe('what is asked in one turn', () => {
  test('fails for those alone whose question fails', async () => {
    const ask = inBatches(
      async (numbers: readonly number[]) => {
        if (numbers.includes(2)) throw new Error('not 2')
        return numbers.map((number) => number * 10)
      },
      () => true,
    )
    expect(await Promise.allSettled([ask(1), ask(2), ask(3)])).toMatchObject([
      { status: 'fulfilled', value: 10 },
      { status: 'rejected', reason: new Error('not 2') },
      { status: 'fulfilled', value: 30 },
    ])
  })

  test('fails for all of them when nobody knows what was done', async () => {
    const batches: (readonly number[])[] = []
    const ask = inBatches(
      async (numbers: readonly number[]): Promise<number[]> => {
        batches.push(numbers)
        throw new Error('the connection broke')
      },
      () => false,
    )
    const outcomes = await Promise.allSettled([ask(1), ask(2)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(batches).toEqual([[1, 2]])
  })

  test('is asked at once, fifty at most, and each gets its own answer', async () => {
    const sizes: number[] = []
    const ask = inBatches(
      async (numbers: readonly number[]) => {
        sizes.push(numbers.length)
        return numbers.map((number) => `answer ${number}`)
      },
      () => true,
    )
    const numbers = Array.from({ length: 70 }, (_, i) => i)
    expect(await Promise.all(numbers.map(ask))).toEqual(numbers.map((number) => `answer ${number}`))
    expect(sizes).toEqual([50, 20])
    await ask(1)
    expect(sizes).toEqual([50, 20, 1])
  })
})
