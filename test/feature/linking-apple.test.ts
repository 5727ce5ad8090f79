import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { getUsableConnection } from '../../src/connections/connection.ts'
import { connectionSettings } from '../../src/connections/settings.ts'
import { type AppleServer, appleClient, startAppleServer } from '../support/apple-server.ts'
import type { Browser, Page } from '../support/browser.ts'
import { type GivenMember, givenConnection, givenMember } from '../support/given.ts'
import { changesOf, pressLink, signInTo, visitor } from '../support/linking.ts'
import { givenTrial, tryOut } from '../support/trials.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let apple: AppleServer
beforeAll(async () => {
  server = await startLinkingApp()
  apple = await startAppleServer()
  server.privateHosts.push(new URL(apple.issuer).host)
  const { id: clientId, ...signer } = appleClient
  await givenConnection(server, {
    ...{ id: 'apple', kind: 'apple', issuer: apple.issuer, clientId, clientSecret: apple.p8 },
    name: { ja: 'Apple', en: 'Apple' },
    settings: { signer },
  })
})
afterAll(async () => {
  await Promise.all([server.close(), apple.close()])
})

let member: GivenMember
let browser: Browser
beforeEach(async () => {
  apple.claims = { email: 'hana@example.com', email_verified: 'true' }
  apple.secrets.length = 0
  await server.db.federatedIdentity.deleteMany()
  member = await givenMember(server)
  browser = await signInTo(server, member)
})

const callback = () => `${server.issuer}/connections/apple/callback`

/** As browsers post a form of another site: none of our cookies, and its origin. */
async function post(answer: URLSearchParams, url = callback()): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: answer,
    redirect: 'manual',
    headers: { origin: apple.issuer, 'sec-fetch-site': 'cross-site' },
  })
}

/** Posts the answer and goes where that leads, in the member's browser. */
async function comeBack(answer: URLSearchParams, visiting = browser): Promise<Page> {
  const response = await post(answer)
  expect(response.status).toBe(303)
  return visiting.open(new URL(response.headers.get('location') ?? '', server.issuer))
}

async function link(answer: URLSearchParams): Promise<void> {
  await browser.submit(await comeBack(answer), '/agree')
}

const linked = () => server.db.federatedIdentity.findFirst({ where: { memberId: member.id } })

describe('Sign in with Apple', () => {
  test('asks for a form where it asks for a name or an address, and for none where it does not', async () => {
    await pressLink(server, browser, 'apple')
    expect(apple.asked.get('response_mode')).toBe('form_post')
    expect(apple.asked.get('scope')).toBe('openid name email')
    const connection = await getUsableConnection(server.db, 'apple')
    await scope(connection.settings, 'openid')
    await pressLink(server, browser, 'apple')
    expect(apple.asked.get('response_mode')).toBeNull()
    await scope(connection.settings, 'openid name email')
  })

  test('proves who we are by a secret that the key signs for each request', async () => {
    await pressLink(server, browser, 'apple')
    await link(apple.agree())
    const [{ header, claims } = { header: undefined, claims: {} }] = apple.secrets
    expect(header).toMatchObject({ alg: 'ES256', kid: appleClient.keyId })
    expect(claims).toMatchObject({ iss: appleClient.teamId, sub: appleClient.id, aud: apple.issuer })
    expect(Number(claims.exp) - Number(claims.iat)).toBe(300)
  })

  test('names the member at the first consent, in the order of their language', async () => {
    await pressLink(server, browser, 'apple')
    await link(apple.agree('{"name":{"firstName":"花子","lastName":"鈴木"},"email":"other@example.com"}'))
    // The address beside it is nobody's word: the one in the ID token counts.
    expect(await linked()).toMatchObject({ profile: { name: '鈴木 花子', email: 'hana@example.com' } })
  })

  test('links without a name where it tells none', async () => {
    await pressLink(server, browser, 'apple')
    await link(apple.agree())
    expect(await linked()).toMatchObject({ profile: { email: 'hana@example.com' } })
  })

  test.each<[unknown, boolean]>([
    [true, true],
    ['true', true],
    ['True', false],
    ['false', false],
    [false, false],
    [1, false],
    ['1', false],
    [undefined, false],
  ])('takes email_verified %j for verified: %s, where the operator trusts it', async (value, expected) => {
    const { settings } = await getUsableConnection(server.db, 'apple')
    await change({ ...settings, trustEmail: true })
    apple.claims = { email: 'hana@example.com', ...(value !== undefined && { email_verified: value }) }
    const operator = visitor()
    await tryOut(operator, givenTrial(server, 'apple'))
    const page = await comeBack(apple.agree(), operator)
    await change({ ...settings, trustEmail: false })
    expect(page.html).toContain('The connection works')
    expect(page.html.includes('Taken as verified.')).toBe(expected)
  })
})

describe('an answer that comes as a form', () => {
  test('does nothing by itself: without the cookie of its browser it is only sent on', async () => {
    await pressLink(server, browser, 'apple')
    const answer = apple.agree('{"name":{"firstName":"Canary"}}')
    const { result, ...changes } = await changesOf(server, () => post(answer))
    expect(changes).toEqual({ rows: {}, events: [] })
    expect(result.headers.get('set-cookie')).toBeNull()
    expect(result.headers.get('cache-control')).toBe('no-store')
    const location = new URL(result.headers.get('location') ?? '', server.issuer)
    expect(`${location.origin}${location.pathname}`).toBe(callback())
    // What it says of a person is not readable in histories and logs.
    expect(decodeURIComponent(location.search)).not.toContain('Canary')
    expect(apple.secrets).toEqual([])
  })

  test('is refused in another browser than it was begun in', async () => {
    await pressLink(server, browser, 'apple')
    const stranger = await signInTo(server, await givenMember(server))
    const { result, rows } = await changesOf(server, () => comeBack(apple.agree(), stranger))
    expect(result.status).toBe(400)
    expect(rows).toEqual({})
    expect(apple.secrets).toEqual([])
  })

  test('is taken once', async () => {
    await pressLink(server, browser, 'apple')
    const answer = apple.agree()
    expect((await comeBack(answer)).url.pathname).toMatch(/^\/link\//)
    await comeBack(answer)
    expect(apple.secrets).toHaveLength(1)
  })

  test('carries no name that another answer was sent with, and none that was made up', async () => {
    await pressLink(server, browser, 'apple')
    const first = await post(apple.agree('{"name":{"firstName":"Canary"}}'))
    const user = new URL(first.headers.get('location') ?? '', server.issuer).searchParams.get('user') ?? ''
    for (const made of [user, '{"name":{"firstName":"Canary"}}']) {
      await pressLink(server, browser, 'apple')
      const url = new URL(callback())
      for (const [name, value] of apple.agree()) url.searchParams.set(name, value)
      url.searchParams.set('user', made)
      const page = await browser.open(url)
      expect(page.url.pathname).toMatch(/^\/link\//)
      expect(page.html).not.toContain('Canary')
    }
  })

  test('is taken by no connection that does not ask for one', async () => {
    await givenConnection(server, { id: 'plain' })
    const answer = new URLSearchParams({ code: 'c', state: 's' })
    expect((await post(answer, `${server.issuer}/connections/plain/callback`)).status).toBe(405)
    expect((await post(answer, `${server.issuer}/connections/absent/callback`)).status).toBe(405)
  })

  test('leads nowhere else, whatever is in it', async () => {
    const answer = new URLSearchParams({ state: 's', redirect: 'https://evil.example', code: 'c\r\nx: y' })
    const response = await post(answer)
    const location = new URL(response.headers.get('location') ?? '', server.issuer)
    expect(location.origin).toBe(server.issuer)
    expect([...location.searchParams.keys()].sort()).toEqual(['code', 'state'])
  })
})

let version = Date.now()
async function change(settings: object): Promise<void> {
  version += 1000
  const data = { settings: connectionSettings.parse(settings), updatedAt: new Date(version) }
  await server.db.connection.update({ where: { id: 'apple' }, data })
}

const scope = (settings: object, asked: string) => change({ ...settings, scope: asked })
