import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo } from '../support/linking.ts'
import type { IdTokenParts, Misbehavior } from '../support/misbehavior.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
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
            way: 'account_page',
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
