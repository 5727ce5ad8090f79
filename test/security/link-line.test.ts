import { createHmac } from 'node:crypto'
import { importJWK, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo } from '../support/linking.ts'
import type { IdTokenParts, Misbehavior } from '../support/misbehavior.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

/** The secret that `givenUpstream` gives its connection. */
const secret = 'a secret of one test'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'line', kind: 'line', name: { ja: 'LINE', en: 'LINE' } })
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let member: GivenMember
let browser: Browser
beforeEach(async () => {
  upstream.behavior.claims = { name: 'LINE Hana', email: 'hana@line.example', email_verified: true }
  upstream.behavior.wrong = {}
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

type Claims = IdTokenParts['claims']
const hs256 = (claims: Claims, key = secret) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(key))

/** jose would not sign this. */
function signByHand(header: object, claims: Claims): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg: 'HS256', ...header })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const now = () => Math.floor(Date.now() / 1000)

describe('LINE: an ID token is refused', () => {
  test.each<[string, NonNullable<Misbehavior['idToken']>]>([
    ['signed with another secret', ({ claims }) => hs256(claims, 'the secret of another channel')],
    ['signed with an empty secret', ({ claims }) => hs256(claims, '\u0000')],
    [
      'altered after it was signed',
      async ({ claims }) => {
        const [header, , signature] = (await hs256(claims)).split('.')
        const body = Buffer.from(JSON.stringify({ ...claims, sub: 'somebody-else' })).toString('base64url')
        return [header, body, signature].join('.')
      },
    ],
    ['not signed', ({ claims }) => new UnsecuredJWT(claims).encode()],
    [
      'signed with a published key instead, as for native apps: the token does not choose the algorithm',
      async ({ claims, key }) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(await importJWK(key, 'ES256')),
    ],
    [
      'signed with HS512',
      ({ claims }) =>
        new SignJWT(claims).setProtectedHeader({ alg: 'HS512' }).sign(new TextEncoder().encode(secret)),
    ],
    ['of another issuer', ({ claims }) => hs256({ ...claims, iss: 'https://evil.example' })],
    ['for another channel', ({ claims }) => hs256({ ...claims, aud: '9999999999' })],
    ['that has expired', ({ claims }) => hs256({ ...claims, exp: now() - 600, iat: now() - 900 })],
    ['with another nonce', ({ claims }) => hs256({ ...claims, nonce: 'another' })],
    ['without nonce', ({ claims: { nonce: _, ...claims } }) => hs256(claims)],
    ['without sub', ({ claims: { sub: _, ...claims } }) => hs256(claims)],
    ['with a critical header that nobody knows', ({ claims }) => signByHand({ crit: ['x'], x: 1 }, claims)],
  ])('%s', async (_, idToken) => {
    upstream.behavior.wrong = { idToken }
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'line'))
    expect(result.html).toContain('We could not link LINE.')
    const data = { connectionId: 'line', reason: 'unexpected_upstream_answer', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.refused', memberId: member.id, data }] })
  })
})

test('LINE: with the secret of the channel it is taken, and its address is no proof whatever it says', async () => {
  upstream.behavior.wrong = { idToken: ({ claims }) => hs256(claims) }
  const page = await pressLink(server, browser, 'line')
  expect((await browser.submit(page, '/agree')).html).toContain('LINE is now linked.')
  const { settings } = await server.db.connection.findUniqueOrThrow({ where: { id: 'line' } })
  expect(settings).toMatchObject({ trustEmail: false })
})
