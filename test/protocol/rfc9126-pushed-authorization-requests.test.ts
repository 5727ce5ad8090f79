import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import {
  authorize,
  begin,
  type RelyingParty,
  redeem,
  relyingParty,
  signIn,
} from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

/** A request that was pushed: where the browser goes, and what its answer is checked against. */
async function push(parameters: Record<string, string> = {}) {
  const attempt = await begin(party, parameters)
  const pushed = Object.fromEntries(attempt.url.searchParams)
  return { ...attempt, url: await oidc.buildAuthorizationUrlWithPAR(party.config, pushed) }
}

const formOf = async (parameters: Record<string, string> = {}) =>
  Object.fromEntries((await begin(party, parameters)).url.searchParams)

/** The error a client is told at the address it has registered, and nowhere else. */
function refusal(redirectUri: string, location: unknown): string | null {
  const target = new URL(String(location))
  expect(target.origin + target.pathname).toBe(redirectUri)
  return target.searchParams.get('error')
}

describe('RFC 9126: pushed authorization requests', () => {
  test('section 2: only the client itself may push', async () => {
    const form = await formOf()
    const answer = await post(server, '/par', form, { client: { ...party, secret: 'wrong' } })
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  test('section 2: it proves itself as it does at the token endpoint, in one way', async () => {
    const byPost = await givenClient(server, { authMethod: 'client_secret_post' })
    const own = { ...(await formOf()), client_id: byPost.id, redirect_uri: byPost.redirectUri }
    const withSecret = { ...own, client_secret: byPost.secret }
    expect((await post(server, '/par', own)).status).toBe(401)
    expect((await post(server, '/par', { ...own, client_secret: 'wrong' })).status).toBe(401)
    expect((await post(server, '/par', withSecret, { client: byPost })).status).toBe(400)
    expect((await post(server, '/par', withSecret)).status).toBe(201)
  })

  test('section 2: a client pushes nothing in the name of another', async () => {
    const stranger = await givenClient(server)
    const form = await formOf({ client_id: stranger.id, redirect_uri: stranger.redirectUri })
    const answer = await post(server, '/par', form, { client: party })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('section 2: a parameter that is there twice is refused', async () => {
    const form: [string, string][] = [...Object.entries(await formOf()), ['scope', 'openid email']]
    const authorization = `Basic ${btoa(`${party.id}:${party.secret}`)}`
    const answer = await post(server, '/par', form, { headers: { authorization } })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test.each([
    ['JSON', 'application/json'],
    ['no form', 'text/plain'],
  ])('section 2.1: %s is refused', async (_, type) => {
    const headers = { 'content-type': type }
    const answer = await post(server, '/par', await formOf(), { client: party, headers })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('section 2.3: another method than POST is not known', async () => {
    expect((await send(`${server.issuer}/par`)).status).toBe(405)
  })

  test('section 2.3: what is too large is refused, and what is merely long is not', async () => {
    const of = async (length: number) =>
      post(server, '/par', await formOf({ state: 'x'.repeat(length) }), { client: party })
    expect((await of(60_000)).status).toBe(413)
    expect((await of(20_000)).status).toBe(201)
  })

  test.each([
    ['section 2.1: a request_uri', { request_uri: 'urn:x:other' }, 'request_uri_not_supported'],
    [
      'section 2.3: an unregistered redirect_uri',
      { redirect_uri: 'https://evil.example/' },
      'invalid_request',
    ],
    ['RFC 9700 section 2.1.1: no challenge', { code_challenge: '' }, 'invalid_request'],
  ])('%s is refused when pushed', async (_, parameters, error) => {
    const answer = await post(server, '/par', await formOf({ ...parameters }), { client: party })
    expect([answer.status, answer.json.error]).toEqual([400, error])
  })

  test.each([
    ['that nobody pushed', 'urn:ietf:params:oauth:request_uri:made-up', 'invalid_request_uri'],
    ['of another server', 'https://evil.example/request.jwt', 'request_uri_not_supported'],
  ])('a request_uri %s is refused', async (_, uri, error) => {
    const { headers } = await send(
      `${server.issuer}/authorize?${new URLSearchParams({ client_id: party.id, request_uri: uri })}`,
    )
    expect(refusal(party.redirectUri, headers.location)).toBe(error)
  })

  test("section 4: another client's request_uri is refused", async () => {
    const [{ url }, stranger] = [await push(), await givenClient(server)]
    url.searchParams.set('client_id', stranger.id)
    const { headers } = await send(url)
    expect(refusal(stranger.redirectUri, headers.location)).toBe('invalid_request_object')
  })

  test('section 4: what stands in the address besides adds nothing to what was pushed', async () => {
    const attempt = await push({ scope: 'openid' })
    attempt.url.searchParams.set('scope', 'openid email profile')
    attempt.url.searchParams.set('redirect_uri', 'https://evil.example/')
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    expect((await redeem(party, callback, attempt)).scope).toBe('openid')
  })

  test('section 7.3: a page may be loaded again before the member has answered, and not after', async () => {
    const { url } = await push()
    const browser = openBrowser()
    expect((await browser.open(url)).status).toBe(200)
    await authorize(party, browser, member, url)
    browser.stopAt(party.redirectUri)
    const again = await browser.open(url)
    expect(again.url.searchParams.has('code')).toBe(false)
    expect(again.html + again.url.search).toContain('invalid_request_uri')
  })

  test('section 2.2: after its time it is good for nothing', async () => {
    const { url } = await push()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 })
    onTestFinished(() => void vi.useRealTimers())
    const { headers } = await send(url)
    expect(refusal(party.redirectUri, headers.location)).toBe('invalid_request_uri')
  })

  test('section 2.2: a member who has come in time may take their time', async () => {
    const attempt = await push()
    const browser = openBrowser()
    const page = await browser.open(attempt.url)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 90_000 })
    onTestFinished(() => void vi.useRealTimers())
    browser.stopAt(party.redirectUri)
    const { email, password } = member
    const next = await browser.submit(page, '/sign-in', { email, password })
    const last = next.status === 0 ? next : await browser.submit(next, '/consent')
    expect(last.url.searchParams.has('code')).toBe(true)
  })

  test('of 50 uses of one request_uri at once, at two processes, one gets a code', async () => {
    const browser = openBrowser()
    await signIn(party, browser, member)
    const cookie = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    const peer = await server.startPeer()
    const { pathname, search } = (await push()).url
    const headers = { cookie, host: new URL(server.issuer).host, accept: 'text/html' }
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        send(new URL(pathname + search, i % 2 ? peer.origin : server.issuer), { headers }),
      ),
    )
    await peer.close()
    const codes = answers.filter(({ headers: { location } }) => location?.toString().includes('code='))
    expect(codes).toHaveLength(1)
  })

  test('section 2.2: an answer has an unguessable address and a short life', async () => {
    const [first, second] = [
      await post(server, '/par', await formOf(), { client: party }),
      await post(server, '/par', await formOf(), { client: party }),
    ]
    expect([first.status, first.json.expires_in]).toEqual([201, 60])
    expect(first.json.request_uri).toMatch(/^urn:ietf:params:oauth:request_uri:[\w-]{43}$/)
    expect(first.json.request_uri).not.toBe(second.json.request_uri)
  })

  test('section 4: a pushed request signs a member in', async () => {
    const attempt = await push()
    expect(attempt.url.search).not.toContain(attempt.state)
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    expect((await redeem(party, callback, attempt)).claims()?.sub).toBe(member.id)
  })
})
