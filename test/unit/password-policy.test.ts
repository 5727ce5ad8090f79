import { expect, test } from 'vitest'
import { findPasswordFault, type PasswordFault } from '../../src/members/credentials/password.ts'

const known = ['harumi.sato@example.com', 'Harumi Sato', 'Hitotsu']

test.each<[string, string, PasswordFault]>([
  ['nothing', '', 'password_too_short'],
  ['fourteen characters', 'violet harbor7', 'password_too_short'],
  ['seven characters that take fourteen units', '🐙🦊🐼🦁🐸🐵🐔', 'password_too_short'],
  ['more than 128 characters', 'violet harbor lantern '.repeat(6), 'password_too_long'],
  ['one letter again and again', 'aaaaaaaaaaaaaaaaaaaa', 'password_common'],
  ['a row of keys', 'qwertyuiopasdfghjkl', 'password_common'],
  ['a well-known password, lengthened by itself', 'passwordpassword', 'password_common'],
  ['digits in order', '123456789012345678', 'password_common'],
  ['the address', 'harumi.sato@example.com', 'password_context'],
  ['the address in other letters', 'HARUMI.SATO@EXAMPLE.COM!', 'password_context'],
  ['the service’s name, twice', 'HitotsuHitotsu1', 'password_context'],
])('refused: %s', (_, password, fault) => {
  expect(findPasswordFault(password, 15, known)).toBe(fault)
})

test.each([
  ['a few words', 'violet harbor lantern'],
  ['words of another script', 'むらさきの港にともるあかり七つ'],
  ['blanks at the ends, which count', '  violet lantern  '],
  ['exactly 128 characters', 'violet harbor lantern meadow copper thimble '.repeat(3).slice(0, 128)],
  ['a name inside something longer', 'sato violet harbor lantern'],
])('taken: %s', (_, password) => {
  expect(findPasswordFault(password, 15, known)).toBeUndefined()
})

test('a code point counts as one', () => {
  const fifteen = '🐙🦊🐼🦁🐸🐵🐔🐧🐦🦆🦅🦉🦇🐺🐗'
  expect(findPasswordFault(fifteen, 15, [])).not.toBe('password_too_short')
  expect(findPasswordFault(fifteen, 16, [])).toBe('password_too_short')
})
