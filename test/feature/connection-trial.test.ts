import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { connectionSettings } from '../../src/connections/settings.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { Browser } from '../support/browser.ts'
import { givenConnection } from '../support/given.ts'
import { changesOf, visitor } from '../support/linking.ts'
import type { OAuth2Server } from '../support/oauth2-server.ts'
import { givenTrial, tryOut } from '../support/trials.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenOAuth2, givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let provider: UpstreamProvider
let club: OAuth2Server
beforeAll(async () => {
  server = await startLinkingApp()
  const name = { ja: '外部', en: 'Upstream' }
  provider = await givenUpstream(server, { id: 'upstream', name, settings: { trustEmail: true } })
  club = await givenOAuth2(server, { id: 'club', name: { ja: 'クラブ', en: 'Club' } })
})
afterAll(async () => {
  await Promise.all([server.close(), provider.close(), club.close()])
})

let browser: Browser
beforeEach(() => {
  browser = visitor()
  Object.assign(provider.behavior, {
    claims: { name: 'Hanako', email: 'hana@shop.example', email_verified: true },
    decline: false,
    wrong: {},
  })
  club.behavior.answers = {}
  club.behavior.userinfo = { id: 'member-1', name: 'Hanako club' }
})

const nothing = { rows: {}, events: [] }
const tryConnection = (id: string) => changesOf(server, () => tryOut(browser, givenTrial(server, id)))

describe('a trial', () => {
  test('shows the account and everything the upstream said, and nothing comes of it', async () => {
    const { result, ...changes } = await tryConnection('upstream')
    expect(changes).toEqual(nothing)
    expect(result.status).toBe(200)
    for (const shown of [
      ...['The connection works', provider.issuer, 'member-1', 'Hanako', 'hana@shop'],
      ...['Taken as verified.', 'Claims of the ID token', 'email_verified'],
    ])
      expect(result.html).toContain(shown)
    expect((await browser.open(`${server.issuer}/account`)).url.pathname).toMatch(/sign-in$/)
  })

  test('shows no token, code or secret, wherever the upstream puts one', async () => {
    club.behavior.userinfo = {
      id: 'member-1',
      access_token: 'leaked-access',
      nested: { refreshToken: 'leaked-refresh', client_secret: 'leaked-secret' },
    }
    const { result } = await tryConnection('club')
    expect(result.html).toContain('nested')
    expect(result.html).not.toMatch(/leaked|access-[0-9a-f]|refresh-[0-9a-f]/)
    expect(result.html).toContain('With a refresh token')
    expect(result.headers.get('cache-control')).toBe('no-store')
  })

  test('shows what an upstream writes as text', async () => {
    club.behavior.userinfo = { id: 'member-1', name: '<script>alert(1)</script>' }
    const { result } = await tryConnection('club')
    expect(result.html).not.toContain('<script>alert(1)')
    expect(result.html).toContain('&lt;script&gt;')
  })

  test('of a connection that is not enabled yet, or was disabled, works as well', async () => {
    await inTransaction(server.db, (tx) => disableConnection(tx, 'club', server.now()))
    const { result, ...changes } = await tryConnection('club')
    expect(result.html).toContain('The connection works')
    expect(changes).toEqual(nothing)
    await server.db.connection.update({ where: { id: 'club' }, data: { disabledAt: null } })
  })

  test('says in Japanese what it says in English', async () => {
    const japanese = visitor('ja')
    const page = await tryOut(japanese, givenTrial(server, 'club'))
    expect(page.html).toContain('正しく接続できました')
    expect(page.html).toContain('届いたユーザー情報の内容')
  })

  test('that the visitor cancels says that the way works', async () => {
    provider.behavior.decline = true
    const { result, ...changes } = await tryConnection('upstream')
    expect(result.html).toContain('Cancelled at the service')
    expect(changes).toEqual(nothing)
  })

  test('that the upstream refuses says why and what to do', async () => {
    provider.behavior.wrong = {
      callback: (url) => {
        url.searchParams.delete('code')
        url.searchParams.set('error', 'invalid_scope')
        url.searchParams.set('error_description', 'no <b>email</b> for you')
      },
    }
    const { result, ...changes } = await tryConnection('upstream')
    expect(result.html).toContain('The service refused')
    expect(result.html).toContain('ask for less with --scope')
    expect(result.html).toContain('no &lt;b&gt;email')
    expect(changes).toEqual(nothing)
  })
})

describe('a trial that fails says what to do', () => {
  let version = Date.now()
  async function change(settings: object): Promise<void> {
    const row = await server.db.connection.findUniqueOrThrow({ where: { id: 'club' } })
    const merged = connectionSettings.parse({ ...(row.settings as object), ...settings })
    version += 1000
    const data = { settings: merged, updatedAt: new Date(version) }
    await server.db.connection.update({ where: { id: 'club' }, data })
  }
  const claims = { subject: 'id', subjectType: 'text', name: 'name', email: 'email' }

  test('when no subject is where the mapping looks, with what was received', async () => {
    await change({ claims: { ...claims, subject: 'data.id' } })
    const { result, ...changes } = await tryConnection('club')
    await change({ claims })
    expect(result.html).toContain('--claim subject=')
    expect(result.html).toContain('Hanako club')
    expect(changes).toEqual(nothing)
  })

  test('when the subject is a number', async () => {
    club.behavior.userinfo = { id: 7 }
    const { result } = await tryConnection('club')
    expect(result.html).toContain('--subject-type integer')
  })

  test('when the client is not accepted', async () => {
    await change({ clientAuthentication: 'client_secret_post' })
    const { result } = await tryConnection('club')
    await change({ clientAuthentication: 'client_secret_basic' })
    expect(result.html).toContain('does not accept this client')
  })

  test.each<[string, OAuth2Server['behavior']['answers'], string]>([
    ['is a page', { '/me': (response) => response.end('<p>hello</p>') }, 'something other than JSON'],
    ['is an error', { '/me': (response) => response.writeHead(500).end() }, 'answered with an error'],
    [
      'is a page at the token endpoint',
      {
        '/token': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello</p>'),
      },
      'something other than JSON',
    ],
    ['does not come', { '/token': (response) => response.destroy() }, 'could not be reached'],
  ])('when the answer %s', async (_, answers, words) => {
    club.behavior.answers = answers
    const { result, ...changes } = await tryConnection('club')
    expect(result.html).toContain(words)
    expect(changes).toEqual(nothing)
  })

  test('when the upstream calls itself by another issuer', async () => {
    club.behavior.iss = 'https://other.example'
    const { result } = await tryConnection('club')
    delete club.behavior.iss
    expect(result.html).toContain('Compare --issuer')
  })

  test('when an ID token does not hold', async () => {
    provider.behavior.wrong = {
      idToken: ({ header, claims: good, key }) => ({ header, claims: { ...good, aud: 'somebody' }, key }),
    }
    const { result } = await tryConnection('upstream')
    expect(result.html).toContain('The ID token does not hold')
  })

  test('when there is nobody at its address, before anybody is sent there', async () => {
    const { id } = await givenConnection(server, { issuer: 'http://127.0.0.1:9' })
    const { result } = await tryConnection(id)
    expect(result.html).toContain('OUTBOUND_PRIVATE_HOSTS')
  })
})
