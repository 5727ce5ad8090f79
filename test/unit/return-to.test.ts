import { expect, test } from 'vitest'
import { returnTo } from '../../src/http/return-to.ts'

const issuer = 'https://id.example.com'

test.each([
  undefined,
  '',
  'account',
  '//evil.example',
  '///evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/\\/evil.example',
  '/./\\evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/account/..//evil.example',
  '/%2e%2e//evil.example',
  'https:evil.example',
  'https://evil.example',
  'https:/evil.example',
  'http://id.example.com/account',
  'https://id.example.com@evil.example',
  'javascript:alert(1)',
  'data:text/html,x',
  '/\tevil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '/account\r\nSet-Cookie: a=b',
  '/ac\0count',
  '/日本',
  '/'.padEnd(2001, 'a'),
])('%j leads nowhere else', (requested) => {
  expect(returnTo(requested, issuer, '/fallback')).toBe('/fallback')
})

test.each([
  ['/', '/'],
  ['/account?notice=linked&connection=line', '/account?notice=linked&connection=line'],
  ['/link/abc?x=https://evil.example', '/link/abc?x=https://evil.example'],
  ['/a/../account', '/account'],
  ['/%2f%2fevil.example', '/%2f%2fevil.example'],
  ['/account#part', '/account'],
])('%j is a place of ours', (requested, path) => {
  expect(returnTo(requested, issuer, '/fallback')).toBe(path)
})

test('wherever it leads, a browser stays on the issuer', () => {
  for (const head of ['/', '//', '/\\', '/.', '/..', '/./', '/../', '/;', '/%5c', '/%09', '/@', '/:'])
    for (const tail of [
      'evil.example',
      '/evil.example',
      '//evil.example',
      '@evil.example',
      ':80/evil.example',
    ]) {
      const path = returnTo(head + tail, issuer, '/fallback')
      expect(new URL(path, issuer).origin).toBe(issuer)
    }
})
