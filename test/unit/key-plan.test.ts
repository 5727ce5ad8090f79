import { describe, expect, test } from 'vitest'
import {
  isDispensable,
  type KeyFacts,
  type KeyPolicy,
  orderForSigning,
  planKeys,
  stateOf,
} from '../../src/oidc/keys/plan.ts'

const day = 86_400
const start = new Date('2026-03-01T00:00:00Z')
const at = (seconds: number) => new Date(start.getTime() + seconds * 1000)
const policy: KeyPolicy = { rotationDays: 90, publishAheadSeconds: day, retiredDays: 7 }

/** A key of ES256 that signs from the start on, unless told otherwise. */
function key(position: number, facts: Partial<KeyFacts> = {}): KeyFacts {
  const alg = facts.alg ?? 'ES256'
  return {
    kid: `${alg}-${position}`,
    alg,
    position,
    activeFrom: start,
    retiredAt: null,
    destroyedAt: null,
    ...facts,
  }
}

const others = ['RS256', 'PS256', 'EdDSA'].map((alg) => key(0, { alg, activeFrom: at(365 * day) }))
/** What is due for ES256; the others are all set. */
const plan = (keys: KeyFacts[], seconds: number, change: Partial<KeyPolicy> = {}) =>
  planKeys([...keys, ...others], at(seconds), { ...policy, ...change })
const kidsInOrder = (keys: KeyFacts[], seconds: number) =>
  orderForSigning(keys, at(seconds)).map(({ kid }) => kid)

describe('what is due', () => {
  test('at the first start every algorithm gets a key that signs at once', () => {
    expect(planKeys([], start, policy)).toEqual(
      ['ES256', 'RS256', 'PS256', 'EdDSA'].map((alg) => ({
        action: 'create',
        alg,
        position: 0,
        activeFrom: start,
      })),
    )
  })

  test.each<[string, KeyFacts[], number, Partial<KeyPolicy>, object[]]>([
    ['nothing, while a key is young', [key(0)], 88 * day, {}, []],
    [
      'the next key, a day before it signs',
      [key(0)],
      89 * day,
      {},
      [{ action: 'create', alg: 'ES256', position: 1, activeFrom: at(90 * day) }],
    ],
    [
      'after a long stop too, the next key is published before it signs',
      [key(0)],
      200 * day,
      {},
      [{ action: 'create', alg: 'ES256', position: 1, activeFrom: at(201 * day) }],
    ],
    ['nothing by itself, when rotation is left to commands', [key(0)], 2000 * day, { rotationDays: 0 }, []],
    [
      'no third key while the second waits to sign',
      [key(0), key(1, { activeFrom: at(90 * day) })],
      89.5 * day,
      {},
      [],
    ],
    [
      'the end of signing for a key that a later one has overtaken',
      [key(0), key(1, { activeFrom: at(90 * day) })],
      90 * day,
      {},
      [{ action: 'retire', kid: 'ES256-0' }],
    ],
    [
      'the same for a key that was to sign later than the one made after it',
      [key(0, { retiredAt: at(5) }), key(1, { activeFrom: at(900) }), key(2, { activeFrom: at(5) })],
      5,
      {},
      [{ action: 'retire', kid: 'ES256-1' }],
    ],
    [
      'nothing for a retired key, as long as what it signed may come back',
      [key(0, { retiredAt: at(day) }), key(1)],
      8 * day - 1,
      {},
      [],
    ],
    [
      'the end of a retired key',
      [key(0, { retiredAt: at(day) }), key(1)],
      8 * day,
      {},
      [{ action: 'destroy', kid: 'ES256-0' }],
    ],
    [
      'nothing for what is destroyed',
      [key(0, { retiredAt: at(day), destroyedAt: at(8 * day) }), key(1)],
      30 * day,
      {},
      [],
    ],
    [
      'a key that signs at once, at a place nobody had, when all are gone',
      [key(0, { retiredAt: at(1), destroyedAt: at(2) }), key(1, { destroyedAt: at(2) })],
      10,
      {},
      [{ action: 'create', alg: 'ES256', position: 2, activeFrom: at(10) }],
    ],
    [
      'a key in place of the last, which was retired',
      [key(0, { retiredAt: at(1) })],
      10,
      {},
      [{ action: 'create', alg: 'ES256', position: 1, activeFrom: at(10) }],
    ],
  ])('%s', (_, keys, seconds, change, actions) => {
    expect(plan(keys, seconds, change)).toEqual(actions)
  })
})

describe('which key signs', () => {
  test('the default algorithm comes first, whatever order they were made in', () => {
    const keys = ['EdDSA', 'PS256', 'unknown here', 'RS256', 'ES256'].map((alg) => key(0, { alg }))
    expect(orderForSigning(keys, start).map(({ alg }) => alg)).toEqual([
      'ES256',
      'RS256',
      'PS256',
      'EdDSA',
      'unknown here',
    ])
  })

  test('a key that is published ahead does not sign before its time, and does from then on', () => {
    const keys = [key(0), key(1, { activeFrom: at(600) })]
    expect(kidsInOrder(keys, 599)).toEqual(['ES256-0', 'ES256-1'])
    expect(kidsInOrder(keys, 600)).toEqual(['ES256-1', 'ES256-0'])
  })

  test('a retired key signs no more, and is still published', () => {
    expect(kidsInOrder([key(0), key(1, { retiredAt: at(1) })], 2)).toEqual(['ES256-0', 'ES256-1'])
  })

  test('a destroyed key is not published', () => {
    expect(kidsInOrder([key(0, { destroyedAt: at(1) }), key(1)], 2)).toEqual(['ES256-1'])
  })

  test('a process whose clock is late follows the one that has retired the key before: the next signs', () => {
    const keys = [
      key(0, { retiredAt: at(600) }),
      key(1, { activeFrom: at(600) }),
      key(2, { activeFrom: at(900) }),
    ]
    expect(kidsInOrder(keys, 570)).toEqual(['ES256-1', 'ES256-2', 'ES256-0'])
  })

  test('a process whose clock is late at the first start signs all the same', () => {
    expect(kidsInOrder([key(0)], -30)).toEqual(['ES256-0'])
  })
})

test.each<[string, Partial<KeyFacts>, string]>([
  ['made ahead', { activeFrom: at(1) }, 'published'],
  ['since its first moment', { activeFrom: start }, 'active'],
  ['overtaken', { retiredAt: start }, 'retired'],
  ['taken back before its time', { activeFrom: at(1), retiredAt: start }, 'retired'],
  ['at its end', { retiredAt: start, destroyedAt: start }, 'destroyed'],
])('a key %s is %s', (_, facts, state) => {
  expect(stateOf(key(0, facts), start)).toBe(state)
})

test.each<[string, boolean, KeyFacts[]]>([
  ['the only one that signs', false, []],
  ['the only active one, while the next is published ahead', false, [key(1, { activeFrom: at(600) })]],
  ['the only active one of its algorithm', false, [key(0, { alg: 'RS256' })]],
  ['one of two active ones', true, [key(1)]],
])('%s can go: %s', (_, dispensable, rest) => {
  expect(isDispensable(key(0), [key(0), ...rest], start)).toBe(dispensable)
})

test('a key that does not sign can go', () => {
  const waiting = key(0, { activeFrom: at(600) })
  const retired = key(1, { retiredAt: start })
  expect([waiting, retired].map((one) => isDispensable(one, [waiting, retired], start))).toEqual([true, true])
})
