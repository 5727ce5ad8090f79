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
  events: [{ type: 'link.refused', memberId: member.id, data: { connectionId: 'upstream', reason } }],
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

describe('userinfo is refused', () => {
  const noClaims = (parts: IdTokenParts) => {
    const { name: _n, email: _e, ...rest } = parts.claims
    return { ...parts, claims: rest }
  }

  test.each<[string, (body: Record<string, unknown>) => Record<string, unknown>]>([
    ['of another sub (rp-userinfo-bad-sub-claim)', (body) => ({ ...body, sub: 'somebody else' })],
    ['without sub (rp-userinfo-bad-sub-claim)', ({ sub: _, ...rest }) => rest],
    ['with a number for a sub', (body) => ({ ...body, sub: 1 })],
  ])('%s', async (_, change) => {
    await expectRefusal({ idToken: noClaims, json: { '/me': change } })
  })

  test.each([
    ['that is a list', '[]'],
    ['that is HTML', '<!doctype html><title>Maintenance</title>'],
    ['that is cut off', '{"sub":"shop'],
  ])('%s', async (_, text) => {
    await expectRefusal({
      idToken: noClaims,
      answers: {
        '/me': (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(text),
      },
    })
  })
})

describe('an upstream that does not do its work', () => {
  const html = '<!doctype html><title>Maintenance</title><script>alert(1)</script>'
  const answers: [string, NonNullable<Misbehavior['answers']>[string]][] = [
    ['500', (response) => response.writeHead(500).end('Internal Server Error')],
    ['503 in HTML', (response) => response.writeHead(503, { 'content-type': 'text/html' }).end(html)],
    [
      'HTML as if it were well',
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(html),
    ],
    ['HTML that says it is JSON', (response) => response.writeHead(200, json).end(html)],
    ['JSON of nothing', (response) => response.writeHead(200, json).end('null')],
    ['JSON without end', (response) => response.writeHead(200, json).end('['.repeat(100_000))],
    ['a redirect', (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end()],
    [
      '400 with an error of 100 KB',
      (response) => response.writeHead(400, json).end(JSON.stringify({ error: 'e'.repeat(100_000) })),
    ],
    [
      '401 with a challenge',
      (response) => response.writeHead(401, { 'www-authenticate': 'Bearer error="x", ' }).end(),
    ],
    ['nothing', (response) => response.writeHead(204).end()],
    ['a body of 50 MB', (response) => flood(response)],
    ['a reset connection', (response) => response.destroy()],
    [
      'a connection that ends in the middle',
      (response) => {
        response.writeHead(200, { ...json, 'content-length': '1000' }).write('{"access_token":')
        setImmediate(() => response.destroy())
      },
    ],
  ]
  const json = { 'content-type': 'application/json' }

  describe.each(['/token', '/me', '/jwks'])('at %s', (path) => {
    test.each(answers)('and answers with %s links nothing', async (_, answer) => {
      upstream.behavior.wrong = { answers: { [path]: answer } }
      if (path === '/me') upstream.behavior.claims = {}
      // What the upstream said of its keys before is not asked again, so each time it is a new connection.
      await server.db.connection.update({ where: { id: 'upstream' }, data: { updatedAt: nextVersion() } })
      const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
      expect(result.html).toContain('We could not link')
      expect(result.html).not.toContain('alert(1)')
      expect(changes.rows).toEqual({})
      expect(changes.events).toEqual([
        {
          type: 'link.refused',
          memberId: member.id,
          data: {
            connectionId: 'upstream',
            reason: expect.stringMatching(/^(upstream_unreachable|unexpected_upstream_answer)$/),
          },
        },
      ])
    })
  })

  describe('at discovery', () => {
    test.each([
      ...answers,
      [
        'another issuer than its own',
        (response) => response.writeHead(200, json).end(JSON.stringify({ issuer: 'https://evil.example' })),
      ] as (typeof answers)[number],
    ])('and answers with %s leads to a clear page', async (_, answer) => {
      upstream.behavior.wrong = { answers: { '/.well-known/openid-configuration': answer } }
      await server.db.connection.update({ where: { id: 'upstream' }, data: { updatedAt: nextVersion() } })
      const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
      expect(result.status).toBe(502)
      expect(result.html).toMatch(/upstream_unreachable|unexpected_upstream_answer/)
      expect(result.html).not.toContain('alert(1)')
      expect(changes).toEqual({ rows: {}, events: [] })
      upstream.behavior.wrong = {}
      expect((await pressLink(server, browser, 'upstream')).url.pathname).toMatch(/^\/link\//)
    })

    test('and sends us into a private network is not followed', async () => {
      const asked: string[] = []
      upstream.behavior.wrong = {
        json: {
          '/.well-known/openid-configuration': (body) => ({
            ...body,
            token_endpoint: 'http://127.0.0.1:9/token',
            jwks_uri: 'http://169.254.169.254/latest/meta-data',
          }),
        },
        callback: (url) => void asked.push(url.href),
      }
      await server.db.connection.update({ where: { id: 'upstream' }, data: { updatedAt: nextVersion() } })
      const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'upstream'))
      expect(asked).toHaveLength(1)
      expect(result.html).toContain('We could not link')
      expect(changes).toEqual(refused('upstream_unreachable'))
      await server.db.connection.update({ where: { id: 'upstream' }, data: { updatedAt: nextVersion() } })
    })
  })

  test('and never answers holds nobody up: others are served, and the visit ends', async () => {
    const waiting: (() => void)[] = []
    upstream.behavior.wrong = { answers: { '/token': (response) => waiting.push(() => response.end()) } }
    const changes = changesOf(server, () => pressLink(server, browser, 'upstream'))
    const other = await signInTo(server, await givenMember(server))
    expect((await other.open(`${server.issuer}/account`)).status).toBe(200)
    const { result, ...rest } = await changes
    expect(result.html).toContain('We could not link')
    expect(rest.rows).toEqual({})
    expect(rest.events).toContainEqual(refused('upstream_unreachable').events[0])
    for (const end of waiting) end()
  })
})

let version = Date.now()
function nextVersion(): Date {
  version += 1000
  return new Date(version)
}

function flood(response: Parameters<NonNullable<Misbehavior['answers']>[string]>[0]): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const chunk = Buffer.alloc(1024 * 1024, ' ')
  let sent = 0
  const more = () => {
    while (sent < 50 && !response.destroyed) {
      sent += 1
      if (!response.write(chunk)) {
        response.once('drain', more)
        return
      }
    }
    response.end()
  }
  response.on('error', () => {})
  more()
}

describe('what an upstream says of a name', () => {
  test.each([
    ['half of a character', 'Hana \ud83d', 'Hana \ufffd'],
    ['a NUL', 'Ha\u0000na', 'Hana'],
    [
      'longer than ours, cut between two characters',
      `H${'\u{1F338}'.repeat(200)}`,
      `H${'\u{1F338}'.repeat(49)}`,
    ],
    ['only invisible signs', '\u200b\u2060', undefined],
    ['a number', 12, undefined],
    ['a tree', { en: 'Hana' }, undefined],
  ])('may be %s and still link', async (_, name, stored) => {
    upstream.behavior.claims = { name, email: 'hana@shop.example' }
    const page = await pressLink(server, browser, 'upstream')
    const { result, rows } = await changesOf(server, () => browser.submit(page, '/agree'))
    expect(result.html).toContain('is now linked.')
    expect(rows).toMatchObject({ FederatedIdentity: '+1' })
    const { profile } = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
    expect(profile).toEqual({ ...(stored && { name: stored }), email: 'hana@shop.example' })
  })
})

test('the control: an upstream that does everything right is linked', async () => {
  const page = await browser.submit(await pressLink(server, browser, 'upstream'), '/agree')
  expect(page.html).toContain('is now linked.')
})
