import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo } from '../support/linking.ts'
import type { IdTokenParts, Misbehavior } from '../support/misbehavior.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let foreignKey: JWK
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  foreignKey = await exportJWK(privateKey)
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
let member: GivenMember
let browser: Browser
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.claims = { name: 'Hana', email: 'hana@shop.example' }
  upstream.behavior.wrong = {}
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

const refused = (reason = 'unexpected_upstream_answer') => ({
  rows: {},
  events: [
    {
      type: 'link.refused',
      memberId: member.id,
      data: { connectionId: 'upstream', reason, way: 'account_page' },
    },
  ],
})

/** Links with an upstream that does this wrong: nothing may come of it but a clear page and one event. */
async function expectRefusal(wrong: Misbehavior, reason?: string): Promise<void> {
  upstream.behavior.wrong = wrong
  const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
  expect(result.status).toBe(200)
  expect(result.html).toContain('We could not link')
  expect(changes).toEqual(refused(reason))
}

const seconds = () => Math.floor(Date.now() / 1000)
const claims =
  (change: Record<string, unknown>) =>
  (parts: IdTokenParts): IdTokenParts => ({ ...parts, claims: { ...parts.claims, ...change } })

describe('OpenID Connect Core 3.1.3.7: an ID token is refused', () => {
  test.each<[string, string, (parts: IdTokenParts) => IdTokenParts | string | Promise<string>]>([
    ['(2) of another issuer', 'rp-id_token-issuer-mismatch', claims({ iss: 'https://evil.example' })],
    ['(2) of no issuer', 'rp-id_token-issuer-mismatch', claims({ iss: undefined })],
    ['(3) for another audience', 'rp-id_token-aud', claims({ aud: 'somebody else' })],
    ['(3) for no audience', 'rp-id_token-aud', claims({ aud: undefined })],
    ['(3) for us and a stranger without azp', 'rp-id_token-aud', claims({ aud: ['hitotsu', 'stranger'] })],
    ['(5) authorized for another', 'rp-id_token-azp', claims({ aud: ['hitotsu', 'x'], azp: 'x' })],
    ['(6) signed with another key', 'rp-id_token-bad-sig-es256', (parts) => ({ ...parts, key: foreignKey })],
    [
      '(6) altered after it was signed',
      'rp-id_token-bad-sig-es256',
      async (parts) => {
        const [header, , signature] = (await sign(parts)).split('.')
        return [header, encode({ ...parts.claims, sub: 'somebody else' }), signature].join('.')
      },
    ],
    ['(7) not signed', 'rp-id_token-sig-none', ({ claims: body }) => new UnsecuredJWT(body).encode()],
    [
      '(7) with alg none and a signature',
      'rp-id_token-sig-none',
      async (parts) => {
        const [, body, signature] = (await sign(parts)).split('.')
        return [encode({ alg: 'none' }), body, signature].join('.')
      },
    ],
    [
      '(7) with alg None',
      'rp-id_token-sig-none',
      ({ claims: body }) => `${encode({ alg: 'None' })}.${encode(body)}.`,
    ],
    [
      '(8) signed with HS256 under our secret',
      'rp-id_token-bad-sig-hs256',
      ({ claims: body }) => hs256(body, 'a secret of one test'),
    ],
    [
      '(8) signed with HS256 under its public key',
      'rp-id_token-bad-sig-hs256',
      ({ claims: body, key: { d: _, ...publicKey } }) => hs256(body, JSON.stringify(publicKey)),
    ],
    [
      'with a key of its own in the header',
      'rp-key-rotation',
      async ({ claims: body }) => {
        const { d: _, ...jwk } = foreignKey
        const header = { alg: 'ES256', jwk, jku: 'https://evil.example/jwks', kid: 'nobody' }
        return new SignJWT(body).setProtectedHeader(header).sign(await importJWK(foreignKey, 'ES256'))
      },
    ],
    ['(9) that has expired', 'rp-id_token-exp', claims({ exp: seconds() - 600, iat: seconds() - 900 })],
    ['(9) that never expires', 'rp-id_token-exp', claims({ exp: undefined })],
    ['(10) without iat', 'rp-id_token-iat', claims({ iat: undefined })],
    ['that is not valid yet', 'rp-id_token-nbf', claims({ nbf: seconds() + 900 })],
    ['(11) without nonce', 'rp-nonce-invalid', claims({ nonce: undefined })],
    ['(11) with another nonce', 'rp-nonce-invalid', claims({ nonce: 'another' })],
    ['(11) with a list of nonces', 'rp-nonce-invalid', claims({ nonce: ['another'] })],
    ['without sub', 'rp-id_token-sub', claims({ sub: undefined })],
    ['with the sub null', 'rp-id_token-sub', claims({ sub: null })],
    ['with a number for a sub', 'rp-id_token-sub', claims({ sub: 4711 })],
    ['with an empty sub', 'rp-id_token-sub', claims({ sub: '' })],
    ['with a sub of 256 characters', 'rp-id_token-sub', claims({ sub: 's'.repeat(256) })],
    ['with a sub of 300 characters', 'rp-id_token-sub', claims({ sub: 's'.repeat(300) })],
    ['with a sub outside ASCII', 'rp-id_token-sub', claims({ sub: 'shopper\u0000' })],
    ['with a sub that looks like another', 'rp-id_token-sub', claims({ sub: 'shopper\u200b-1' })],
    ['that is no token', 'rp-id_token-bad', () => 'not.a.token'],
    ['that is empty', 'rp-id_token-bad', () => ''],
  ])('%s (%s)', async (_, _module, idToken) => {
    await expectRefusal({ idToken })
  })

  test('whose place another type of token takes (rp-id_token-missing)', async () => {
    await expectRefusal({ json: { '/token': ({ id_token: _, ...rest }) => rest } })
    await expectRefusal({ json: { '/token': (body) => ({ ...body, id_token: null }) } })
    await expectRefusal({ json: { '/token': (body) => ({ ...body, id_token: { sub: 'shopper' } }) } })
  })
})

async function sign({ claims: body, header, key }: IdTokenParts): Promise<string> {
  return new SignJWT(body).setProtectedHeader(header).sign(await importJWK(key, 'ES256'))
}

const hs256 = (body: IdTokenParts['claims'], secret: string) =>
  new SignJWT(body).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret))

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

test('the control: an upstream that does everything right is linked', async () => {
  const page = await browser.submit(await pressLink(server, browser, 'upstream'), '/agree')
  expect(page.html).toContain('is now linked.')
})
