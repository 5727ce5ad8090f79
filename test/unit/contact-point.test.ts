import { describe, expect, test } from 'vitest'
import { emailAddress, normalizeEmail } from '../../src/members/contact-point.ts'

describe('refused as an address', () => {
  test.each([
    ['nothing', ''],
    ['blanks', '   '],
    ['no @', 'member.example.com'],
    ['two @', 'attacker@evil.example@example.com'],
    ['a quoted local part', '"member@evil.example"@example.com'],
    ['quotes', '"member"@example.com'],
    ['a comment', 'member(comment)@example.com'],
    ['a comment in the domain', 'member@example.com(comment)'],
    ['a route', '<@evil.example:member@example.com>'],
    ['a display name', 'Member <member@example.com>'],
    ['a list', 'member@example.com,attacker@evil.example'],
    ['a second line', 'member@example.com\nBcc: attacker@evil.example'],
    ['a carriage return', 'mem\rber@example.com'],
    ['a NUL', 'member\0@example.com'],
    ['a blank inside', 'mem ber@example.com'],
    ['an address literal', 'member@[127.0.0.1]'],
    ['a letter that only looks like one', 'mеmber@example.com'],
    ['full-width letters', 'ｍember@example.com'],
    ['nothing before the @', '@example.com'],
    ['nothing after the @', 'member@'],
    ['a host without a dot', 'member@intranet'],
    ['a backslash', 'member@example.com\\.evil.example'],
    ['a percent sign in the domain', 'member@ex%61mple.com'],
    ['a path', 'member@example.com/evil'],
    ['a query', 'member@example.com?evil'],
    ['a fragment', 'member@example.com#evil'],
    ['a dot at the end', 'member@example.com.'],
    ['an empty label', 'member@example..com'],
    ['an address in digits', 'member@127.0.0.1'],
    ['a short form of one', 'member@127.1'],
    ['a port', 'member@example.com:25'],
    ['a right-to-left override', 'member@example.com\u202e'],
    ['more than 64 characters before the @', `${'m'.repeat(65)}@example.com`],
    ['more than 254 characters', `member@${'a.'.repeat(125)}example.com`],
  ])('%s', (_, text) => {
    expect(emailAddress.safeParse(text).success).toBe(false)
  })

  test('what is no text at all', () => {
    for (const value of [undefined, null, 1, ['member@example.com'], {}])
      expect(emailAddress.safeParse(value).success).toBe(false)
  })
})

describe('one mailbox', () => {
  test.each([
    ['letter case', 'Member@Example.COM', 'member@example.com'],
    ['blanks around it', '  member@example.com ', 'member@example.com'],
    ['a domain in its own script', 'member@例え.jp', 'member@xn--r8jz45g.jp'],
    ['full-width letters in the domain', 'member@ＥＸＡＭＰＬＥ.com', 'member@example.com'],
  ])('however %s is written', (_, text, same) => {
    expect(normalizeEmail(emailAddress.parse(text))).toBe(same)
  })
})

describe('two mailboxes', () => {
  test.each([
    ['a plus tag', 'member+shop@example.com', 'member@example.com'],
    ['dots', 'mem.ber@example.com', 'member@example.com'],
    ['a domain that looks alike', 'member@exаmple.com', 'member@example.com'],
    ['a subdomain', 'member@mail.example.com', 'member@example.com'],
  ])('%s makes another one', (_, one, other) => {
    expect(normalizeEmail(emailAddress.parse(one))).not.toBe(normalizeEmail(other))
  })
})

test('a 100 KB address is judged at once', () => {
  for (const text of [
    'a'.repeat(100_000),
    `${'a.'.repeat(50_000)}@`,
    `a@${'a.'.repeat(50_000)}`,
    '@'.repeat(100_000),
  ])
    expect(emailAddress.safeParse(text).success).toBe(false)
})
