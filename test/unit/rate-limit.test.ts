import { expect, test } from 'vitest'
import { sourceOf } from '../../src/http/rate-limit.ts'

test.each([
  ['an IPv4 address is a source of its own', '203.0.113.7', '203.0.113.7'],
  ['however a dual-stack socket writes it', '::ffff:203.0.113.7', '203.0.113.7'],
  ['an IPv6 address counts as its /64', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['zeros left out in the middle', '2001:db8:1:2::6', '2001:db8:1:2'],
  ['zeros left out within the network', '2001:db8::5:6:7:8', '2001:db8:0:0'],
  ['zeros left out at the end', '2001:db8::', '2001:db8:0:0'],
  ['loopback', '::1', '0:0:0:0'],
])('%s', (_, ip, source) => {
  expect(sourceOf(ip)).toBe(source)
})

test('whoever rotates addresses within a /64 stays one source, the next /64 is another', () => {
  const sources = ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2:0:5efe:102:304'].map(
    sourceOf,
  )
  expect(new Set(sources).size).toBe(1)
  expect(sourceOf('2001:db8:1:3::1')).not.toBe(sources[0])
})
