import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectionSettings } from '../../src/connections/settings.ts'
import type { Browser } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenMember } from '../support/given.ts'
import { catchCallback, changesOf, pressLink, signInTo } from '../support/linking.ts'
import { type OAuth2Server, startOAuth2Server } from '../support/oauth2-server.ts'
import { endpointsAt, givenOAuth2, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let club: OAuth2Server
beforeAll(async () => {
  server = await startLinkingApp()
  club = await givenOAuth2(server, { id: 'club' })
})
afterAll(async () => {
  await Promise.all([server.close(), club.close()])
})

let member: GivenMember
let browser: Browser
beforeEach(async () => {
  club.behavior.answers = {}
  delete club.behavior.iss
  club.behavior.userinfo = { id: 'member-1', name: 'Hanako' }
  await mapTo({ subject: 'id', subjectType: 'text', name: 'name', email: 'email' })
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

let version = Date.now()
async function mapTo(claims: object): Promise<void> {
  const { settings } = await server.db.connection.findUniqueOrThrow({ where: { id: 'club' } })
  const mapped = connectionSettings.parse({ ...(settings as object), claims })
  version += 1000
  await server.db.connection.update({
    where: { id: 'club' },
    data: { settings: mapped, updatedAt: new Date(version) },
  })
}

/** Whatever the upstream says, nothing is linked, and it is told in words of ours. */
async function expectRefused(reason = 'unexpected_upstream_answer'): Promise<void> {
  const { result, rows, events } = await changesOf(server, () => pressLink(server, browser, 'club'))
  expect(result.html).toContain('We could not link')
  expect(result.html).not.toContain('alert(1)')
  expect(rows).toEqual({})
  expect(events).toMatchObject([{ type: 'link.refused', memberId: member.id, data: { reason } }])
}

/** What the answer of one link attempt became, or that it was refused. */
async function subjectOf(): Promise<string | undefined> {
  const page = await pressLink(server, browser, 'club')
  if (!page.url.pathname.startsWith('/link/')) return undefined
  await browser.submit(page, '/agree')
  const linked = await server.db.federatedIdentity.findFirst({ where: { memberId: member.id } })
  return linked?.subject
}

describe('a subject', () => {
  test.each<[string, unknown]>([
    ['that is missing', { name: 'Hanako' }],
    ['that is null', { id: null }],
    ['that is empty', { id: '' }],
    ['that is a number where text is expected', { id: 7 }],
    ['that is an object', { id: { value: 'member-1' } }],
    ['that is a list', { id: ['member-1'] }],
    ['that is a truth value', { id: true }],
    ['with a space in it', { id: 'member 1' }],
    ['with a letter beyond ASCII', { id: 'm\u00e9mber' }],
    ['longer than any', { id: 'm'.repeat(256) }],
    ['that only every object has', '{"__proto__":{"id":"member-1"}}'],
    ['in a list instead of a document', [{ id: 'member-1' }]],
    ['in no document', 'null'],
  ])('%s is refused', async (_, userinfo) => {
    club.behavior.userinfo = userinfo
    await expectRefused()
  })

  test.each([
    ['text', '"7"'],
    ['a fraction', '7.5'],
    ['negative', '-7'],
    ['too large to be exact', '9007199254740993'],
    ['nothing', 'null'],
    ['truth', 'true'],
  ])('that is %s is refused where an integer is expected', async (_, id) => {
    await mapTo({ subject: 'id', subjectType: 'integer' })
    club.behavior.userinfo = `{"id":${id}}`
    await expectRefused()
  })

  test('that is an integer becomes one text, and never the account of that text at another connection', async () => {
    await mapTo({ subject: 'id', subjectType: 'integer' })
    club.behavior.userinfo = '{"id":  42}'
    expect(await subjectOf()).toBe('42')
    const other = await signInTo(server, await givenMember(server))
    club.behavior.userinfo = '{"id": 4.2e1}'
    const { result, rows } = await changesOf(server, () => pressLink(server, other, 'club'))
    expect(result.html).not.toContain('/agree')
    expect(rows).toMatchObject({})
    expect(await server.db.federatedIdentity.count({ where: { subject: '42' } })).toBe(1)
  })

  test.each([
    ['data.id', { data: { id: 'deep' } }, 'deep'],
    ['a.b.c.d.e', { a: { b: { c: { d: { e: 'deeper' } } } } }, 'deeper'],
  ])('is found at %s', async (subject, userinfo, expected) => {
    await mapTo({ subject, subjectType: 'text' })
    club.behavior.userinfo = userinfo
    expect(await subjectOf()).toBe(expected)
  })

  test.each(['constructor.name', 'toString.name', '__proto__.id', 'data.length'])(
    'is not looked for in what is no part of the document (%s)',
    async (subject) => {
      await mapTo({ subject, subjectType: 'text' })
      club.behavior.userinfo = { data: 'member-1' }
      await expectRefused()
    },
  )
})

describe('an upstream that answers', () => {
  type Answer = OAuth2Server['behavior']['answers'][string]
  const answers: [string, Answer, string?][] = [
    ['500', (response) => response.writeHead(500).end('<script>alert(1)</script>')],
    ['a page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<b>alert(1)</b>')],
    [
      'broken JSON',
      (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":'),
    ],
    ['nothing', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end()],
    [
      'a redirect into a private network',
      (response) => response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end(),
    ],
    ['by hanging up', (response) => response.destroy(), 'upstream_unreachable'],
  ]
  describe.each(['/token', '/me'])('at %s', (path) => {
    test.each(answers)('%s links nothing', async (_, answer, reason) => {
      club.behavior.answers = { [path]: answer }
      await expectRefused(reason)
    })
  })

  test('with another issuer than its own (RFC 9207) gets no code from us', async () => {
    club.behavior.iss = 'https://evil.example'
    club.requests.length = 0
    await expectRefused()
    expect(club.requests.map(({ path }) => path)).toEqual(['/authorize'])
    club.behavior.iss = club.origin
    expect((await pressLink(server, browser, 'club')).url.pathname).toMatch(/^\/link\//)
  })

  test('without an issuer where its metadata promises one (RFC 9207 section 2.4) gets no code from us', async () => {
    const upstream = await startOAuth2Server({ id: 'hitotsu', secret: 'a secret of one test' })
    server.privateHosts.push(new URL(upstream.origin).host)
    const { authorization, token, userinfo } = endpointsAt(upstream.origin)
    const metadata = {
      issuer: upstream.origin,
      authorization_endpoint: authorization,
      token_endpoint: token,
      response_types_supported: ['code'],
      authorization_response_iss_parameter_supported: true,
    }
    upstream.behavior.answers = {
      '/.well-known/oauth-authorization-server': (response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(metadata)),
    }
    const claims = { subject: 'id', subjectType: 'text' as const }
    await givenConnection(server, {
      ...{ id: 'declared', kind: 'oauth2', issuer: upstream.origin },
      settings: { endpoints: { userinfo }, claims },
    })
    const { result, rows } = await changesOf(server, () => pressLink(server, browser, 'declared'))
    expect(result.html).toContain('We could not link')
    expect(rows).toEqual({})
    expect(upstream.requests.map(({ path }) => path)).not.toContain('/token')
    upstream.behavior.iss = upstream.origin
    expect((await pressLink(server, browser, 'declared')).url.pathname).toMatch(/^\/link\//)
    await upstream.close()
  })

  test('with endpoints on a private network that is not listed is not asked', async () => {
    const { settings } = await server.db.connection.findUniqueOrThrow({ where: { id: 'club' } })
    const inside = { ...(settings as { endpoints: object }).endpoints, userinfo: 'http://169.254.169.254/me' }
    const moved = connectionSettings.parse({ ...(settings as object), endpoints: inside })
    version += 1000
    const data = { settings: moved, updatedAt: new Date(version) }
    await server.db.connection.update({ where: { id: 'club' }, data })
    await expectRefused('upstream_unreachable')
    const back = connectionSettings.parse(settings)
    version += 1000
    await server.db.connection.update({
      where: { id: 'club' },
      data: { settings: back, updatedAt: new Date(version) },
    })
  })

  test('to a callback that is opened twice, or in another browser, is taken once and here', async () => {
    const callback = await catchCallback(server, browser, 'club')
    const stranger = await signInTo(server, await givenMember(server))
    const foreign = await changesOf(server, () => stranger.open(callback))
    expect(foreign.rows).toEqual({})
    expect(foreign.result.status).toBe(400)
    expect((await browser.open(callback)).url.pathname).toMatch(/^\/link\//)
    const again = await changesOf(server, () => browser.open(callback))
    expect(again.rows).toEqual({})
  })
})
