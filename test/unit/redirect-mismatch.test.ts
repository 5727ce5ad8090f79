import { expect, test } from 'vitest'
import { explainMismatch, type MismatchRule } from '../../src/oidc/redirect-mismatch.ts'

const registered = ['https://shop.example.com/callback', 'https://shop.example.com/app/back?via=app']

test.each<[MismatchRule, string | undefined]>([
  ['missing', undefined],
  ['malformed', ''],
  ['malformed', '/callback'],
  ['malformed', 'shop.example.com/callback'],
  ['malformed', 'https://'],
  ['host', 'https://evil.example/callback'],
  ['host', 'https://shop.example.com.evil.example/callback'],
  ['host', 'https://www.shop.example.com/callback'],
  ['host', 'javascript:alert(1)'],
  ['letter_case', 'https://shop.example.com/Callback'],
  ['letter_case', 'https://SHOP.example.com/callback'],
  ['scheme', 'http://shop.example.com/callback'],
  ['port', 'https://shop.example.com:8443/callback'],
  ['trailing_slash', 'https://shop.example.com/callback/'],
  ['path', 'https://shop.example.com/callback2'],
  ['path', 'https://shop.example.com/callback/../x'],
  ['query', 'https://shop.example.com/callback?x=1'],
  ['query', 'https://shop.example.com/app/back?via=web'],
  ['spelling', 'https://shop.example.com:443/callback'],
  ['spelling', 'https://shop.example.com/callback#part'],
  ['spelling', 'https://user@shop.example.com/callback'],
])('%s: %s', (rule, received) => {
  expect(explainMismatch(received, registered).rule).toBe(rule)
})

test('what is shown is host and path: no query, fragment or credentials', () => {
  const received = 'https://user:password@shop.example.com:8443/callback?code=secret#token'
  expect(explainMismatch(received, ['https://shop.example.com/callback?key=secret'])).toEqual({
    rule: 'port',
    received: 'shop.example.com:8443/callback',
    registered: ['shop.example.com/callback'],
  })
})

test('a scheme that is not the web’s is shown, for there is often nothing else', () => {
  expect(explainMismatch('com.example.app:/back', ['com.example.app:/callback', 'app://home/back'])).toEqual({
    rule: 'path',
    received: 'com.example.app:/back',
    registered: ['com.example.app:/callback', 'app://home/back'],
  })
})

test('of many, the five closest are shown, each once, those of the same host first', () => {
  const many = [
    'https://one.example/callback',
    'https://other.shop.example.com/callback',
    'https://shop.example.com/b',
    'https://shop.example.com/b?x=1',
    'http://shop.example.com/callback',
    'https://two.example/callback',
    'https://three.example/callback',
    'https://shop.example.com/callback/',
  ]
  expect(explainMismatch('https://shop.example.com/callback', many).registered).toEqual([
    'shop.example.com/callback',
    'shop.example.com/callback/',
    'shop.example.com/b',
    'other.shop.example.com/callback',
    'one.example/callback',
  ])
})

test.each([
  'https://evil.example/\u202egnp.exe',
  'https://еvil.example/ä',
  'custom:<b>\u0000\u0085\ud800',
  `https://evil.example/${'a'.repeat(8000)}`,
])('%j is shown as at most 203 printable ASCII characters', (received) => {
  expect(explainMismatch(received, registered).received).toMatch(/^[\x20-\x7e]{1,203}$/)
})
