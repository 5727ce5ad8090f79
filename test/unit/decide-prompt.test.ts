import { describe, expect, test } from 'vitest'
import { decidePrompt, type PromptFacts, weightOf } from '../../src/linking/prompts/decide.ts'
import { returnUrlOf } from '../../src/linking/prompts/place.ts'

const stranger: PromptFacts = {
  isLinked: false,
  mayTell: false,
  isDismissed: false,
  isCapped: false,
  isPressed: false,
}

test.each<[string, Partial<PromptFacts>, ReturnType<typeof decidePrompt>]>([
  ['somebody unknown is asked', {}, 'offer'],
  ['a member who is not linked is asked, whatever the client may know', { mayTell: true }, 'offer'],
  [
    'a linked member goes straight back where the client may know it',
    { isLinked: true, mayTell: true },
    'go_back',
  ],
  ['else a page tells it to the member, and the client nothing', { isLinked: true }, 'say_linked'],
  ['nobody is asked again so soon', { isCapped: true }, 'go_back'],
  ['nobody is asked who does not want to be', { isDismissed: true }, 'go_back'],
  ['a linked member who was told is not told again so soon', { isLinked: true, isCapped: true }, 'go_back'],
  ['who presses the button links, however often it was shown', { isPressed: true, isCapped: true }, 'link'],
  ['and whatever was said before', { isPressed: true, isDismissed: true }, 'link'],
  ['who is linked does not link again', { isPressed: true, isLinked: true }, 'say_linked'],
  ['and is not kept', { isPressed: true, isLinked: true, mayTell: true }, 'go_back'],
])('%s', (_, facts, decision) => {
  expect(decidePrompt({ ...stranger, ...facts })).toBe(decision)
})

describe('showings to strangers', () => {
  const recordedOf = (shown: number) =>
    Array.from({ length: shown }, (_, at) => weightOf(at + 1)).reduce((sum, weight) => sum + weight, 0)

  test.each([1, 2, 99, 100, 110, 1000, 1100, 20_000])('%i of them are recorded exactly', (shown) => {
    expect(recordedOf(shown)).toBe(shown)
  })

  test('are never recorded as more than they were, and at most a tenth is missing', () => {
    let recorded = 0
    for (let shown = 1; shown <= 30_000; shown += 1) {
      recorded += weightOf(shown)
      expect(recorded).toBeLessThanOrEqual(shown)
      expect(recorded).toBeGreaterThan(shown * 0.9)
    }
  })

  test('of a hundred thousand make less than four hundred rows', () => {
    const rows = Array.from({ length: 100_000 }, (_, at) => weightOf(at + 1)).filter((weight) => weight > 0)
    expect(rows.length).toBeLessThan(400)
  })
})

describe('the way back', () => {
  const shop = {
    client_uri: 'https://shop.example.com/home?from=id',
    redirect_uris: ['https://login.shop.example.com/cb', 'com.example.app:/cb'],
  }

  test.each([
    [undefined, 'https://shop.example.com/home?from=id'],
    ['https://shop.example.com/thanks?order=1', 'https://shop.example.com/thanks?order=1'],
    ['https://login.shop.example.com/start', 'https://login.shop.example.com/start'],
    ['https://evil.example/', 'https://shop.example.com/home?from=id'],
    ['https://shop.example.com.evil.example/', 'https://shop.example.com/home?from=id'],
    ['https://shop.example.com@evil.example/', 'https://shop.example.com/home?from=id'],
    ['https://user:pass@shop.example.com/', 'https://shop.example.com/home?from=id'],
    ['http://shop.example.com/', 'https://shop.example.com/home?from=id'],
    ['https://shop.example.com:8443/', 'https://shop.example.com/home?from=id'],
    ['//evil.example/', 'https://shop.example.com/home?from=id'],
    ['/\\evil.example', 'https://shop.example.com/home?from=id'],
    ['javascript:alert(1)', 'https://shop.example.com/home?from=id'],
    ['com.example.app:/cb', 'https://shop.example.com/home?from=id'],
    ['https://shop.example.com/\r\nSet-Cookie: a=b', 'https://shop.example.com/home?from=id'],
    [`https://shop.example.com/${'a'.repeat(1000)}`, 'https://shop.example.com/home?from=id'],
  ])('of a client that has a home, asked for %j, is %s', (asked, url) => {
    expect(returnUrlOf(shop, asked)).toBe(url)
  })

  test('of a client without a home is the front of where it takes answers', () => {
    expect(returnUrlOf({ redirect_uris: ['https://shop.example.com/cb?x'] }, undefined)).toBe(
      'https://shop.example.com/',
    )
  })

  test.each([
    { redirect_uris: ['com.example.app:/cb'] },
    { client_uri: 'javascript:alert(1)', redirect_uris: [] },
  ])('of a client that has no place on the web is the account page: %j', (client) => {
    expect(returnUrlOf(client, 'com.example.app:/cb')).toBe('/account')
  })
})
