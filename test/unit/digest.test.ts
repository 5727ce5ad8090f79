import { expect, test } from 'vitest'
import { digest, equalInConstantTime, keyedDigest } from '../../src/security/digest.ts'
import { systemRandom } from '../../src/security/random.ts'

test('a digest is SHA-256 in base64url', () => {
  // FIPS 180-4, the example "abc".
  expect(digest('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
})

test('a keyed digest is bound to its key, its purpose and its value, and to where one ends and the next begins', () => {
  const all = [
    keyedDigest('key', 'purpose', 'value'),
    keyedDigest('other', 'purpose', 'value'),
    keyedDigest('key', 'other', 'value'),
    keyedDigest('key', 'purpose', 'other'),
    keyedDigest('key', 'purposev', 'alue'),
  ]
  expect(new Set(all).size).toBe(all.length)
  expect(keyedDigest('key', 'purpose', 'value')).toBe(all[0])
})

test.each([
  ['', 'a', false],
  ['a', 'ab', false],
  ['secret', 'secreT', false],
  ['secret', 'secret', true],
  ['ひとつ', 'ひとつ', true],
])('%j and %j compared: %s', (a, b, equal) => {
  expect(equalInConstantTime(a, b)).toBe(equal)
})

test('tokens have 256 bits unless told otherwise, and none comes twice', () => {
  const tokens = Array.from({ length: 1000 }, () => systemRandom.token())
  expect(new Set(tokens).size).toBe(1000)
  expect(tokens.every((token) => /^[\w-]{43}$/.test(token))).toBe(true)
  expect(systemRandom.token(16)).toMatch(/^[\w-]{22}$/)
})

test('codes keep their leading zeros', () => {
  const codes = Array.from({ length: 1000 }, () => systemRandom.digits(2))
  expect(codes.every((code) => /^\d\d$/.test(code))).toBe(true)
  expect(codes.some((code) => code.startsWith('0'))).toBe(true)
})

test('primary keys are random UUIDs', () => {
  expect(systemRandom.uuid()).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
})
