import { afterEach, beforeEach, expect, test } from 'vitest'
import { emailCodes } from '../../src/members/email-code.ts'
import { systemRandom } from '../../src/security/random.ts'
import { type Ephemeral, openEphemeral } from '../../src/store/ephemeral.ts'

let store: Ephemeral
beforeEach(async () => {
  store = await openEphemeral({ redisUrl: undefined })
})
afterEach(() => store.close())

const codes = () => emailCodes(store, systemRandom, ['a key of one test'])
const other = (code: string) => (code === '000000' ? '000001' : '000000')

test('a code that was never sent is wrong', async () => {
  expect(await codes().redeem('a', '123456')).toEqual({ outcome: 'wrong', triesLeft: 4 })
})

test('a code for something else is wrong', async () => {
  const code = await codes().issue('a')
  await codes().issue('b')
  expect((await codes().redeem('b', code)).outcome).toBe('wrong')
})

test('after five wrong tries the right code is worth nothing', async () => {
  const code = await codes().issue('a')
  const outcomes = []
  for (let i = 0; i < 5; i += 1) outcomes.push(await codes().redeem('a', other(code)))
  expect(outcomes).toEqual([
    { outcome: 'wrong', triesLeft: 4 },
    { outcome: 'wrong', triesLeft: 3 },
    { outcome: 'wrong', triesLeft: 2 },
    { outcome: 'wrong', triesLeft: 1 },
    { outcome: 'used_up' },
  ])
  expect(await codes().redeem('a', code)).toEqual({ outcome: 'used_up' })
})

test('a code asked for again comes with tries of its own; asking is limited elsewhere', async () => {
  const code = await codes().issue('a')
  for (let i = 0; i < 5; i += 1) await codes().redeem('a', other(code))
  const fresh = await codes().issue('a')
  expect(await codes().redeem('a', other(fresh))).toEqual({ outcome: 'wrong', triesLeft: 4 })
  expect(await codes().redeem('a', fresh)).toEqual({ outcome: 'right' })
})

test('parallel guesses do not share a try', async () => {
  const code = await codes().issue('a')
  const verdicts = await Promise.all(Array.from({ length: 50 }, () => codes().redeem('a', other(code))))
  expect(verdicts.filter(({ outcome }) => outcome === 'wrong')).toHaveLength(4)
  expect(verdicts.filter(({ outcome }) => outcome === 'used_up')).toHaveLength(46)
})

test('the right code works once, however many bring it at the same time', async () => {
  const code = await codes().issue('a')
  const verdicts = await Promise.all(Array.from({ length: 5 }, () => codes().redeem('a', code)))
  expect(verdicts.filter(({ outcome }) => outcome === 'right')).toHaveLength(1)
})

test('a newer code ends the one before', async () => {
  const first = await codes().issue('a')
  const second = await codes().issue('a')
  expect((await codes().redeem('a', first)).outcome).toBe(first === second ? 'right' : 'wrong')
  expect((await codes().redeem('a', second)).outcome).toBe(first === second ? 'wrong' : 'right')
})

test('whoever reads the store does not learn a code', async () => {
  const code = await codes().issue('a')
  expect(await store.get('code:a')).not.toContain(code)
})

test('a code that was sent before the key was exchanged is right, as long as its key is known', async () => {
  const [older, newer] = ['an older key of one test', 'a newer key of one test']
  const code = await emailCodes(store, systemRandom, [older]).issue('a')
  expect((await emailCodes(store, systemRandom, [newer]).redeem('a', code)).outcome).toBe('wrong')
  const both = emailCodes(store, systemRandom, [newer, older])
  expect(await both.redeem('a', code)).toEqual({ outcome: 'right' })
  const fresh = await both.issue('b')
  expect(await emailCodes(store, systemRandom, [newer]).redeem('b', fresh)).toEqual({ outcome: 'right' })
})
