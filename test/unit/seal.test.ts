import { expect, test } from 'vitest'
import { createSealer } from '../../src/security/seal.ts'

const [older, newer, foreign] = ['o', 'n', 'f'].map((letter) => letter.repeat(32))
const keys = (...all: (string | undefined)[]) => all.filter((one) => one !== undefined)
const sealer = createSealer(keys(older))
const sealed = sealer.seal('refresh token', 'identity 1')

test('a sealer without a key cannot be made', () => {
  expect(() => createSealer([])).toThrow(RangeError)
})

test('a value does not open with another key', () => {
  expect(() => createSealer(keys(foreign)).open(sealed, 'identity 1')).toThrow()
})

test('a value moved to another place does not open there', () => {
  expect(() => sealer.open(sealed, 'identity 2')).toThrow()
  expect(() => sealer.open(sealed, '')).toThrow()
})

test('a value of which any part was altered does not open', () => {
  const parts = sealed.split('.')
  for (const [at, part] of parts.entries()) {
    const altered = `${part.startsWith('A') ? 'B' : 'A'}${part.slice(1)}`
    expect(() => sealer.open(parts.with(at, altered).join('.'), 'identity 1')).toThrow()
  }
})

test.each(['', 'v1', 'v1...', `${sealed.slice(0, -8)}`, `v2${sealed.slice(2)}`, 'refresh token'])(
  '%j does not open',
  (text) => {
    expect(() => sealer.open(text, 'identity 1')).toThrow()
  },
)

test('what an attacker learns of a sealed value is its length', () => {
  expect(sealed).not.toContain('refresh')
  expect(sealer.seal('refresh token', 'identity 1')).not.toBe(sealed)
})

test('after a rotation old values open and are known by their beginning; new ones are sealed with the new key', () => {
  const rotated = createSealer(keys(newer, older))
  expect(rotated.open(sealed, 'identity 1')).toBe('refresh token')
  const byNewest = [sealer, rotated].map(({ newestPrefix }) => sealed.startsWith(newestPrefix))
  expect(byNewest).toEqual([true, false])
  const fresh = rotated.seal('refresh token', 'identity 1')
  expect(fresh.startsWith(rotated.newestPrefix)).toBe(true)
  expect(createSealer(keys(newer)).open(fresh, 'identity 1')).toBe('refresh token')
  expect(() => sealer.open(fresh, 'identity 1')).toThrow()
})

test.each(['', 'ひとつ', 'x'.repeat(100_000), 'a\0b.c'])('what was sealed comes back exactly', (text) => {
  expect(sealer.open(sealer.seal(text, 'ひとつ.1'), 'ひとつ.1')).toBe(text)
})
