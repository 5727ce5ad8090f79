import { jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  authorizeUrl,
  botChannelId,
  callbackUrl,
  logIn,
  loginChannelId,
  loginChannelOf,
  openLineBrowser,
  startSimulator,
} from '../support/line-simulator.ts'

let line: LineSimulator

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(async () => {
  line.simulator.state = await createState(defaultSeed([callbackUrl]))
})
afterAll(() => line.close())

async function errorOf(params: Record<string, string | undefined>) {
  const page = await openLineBrowser(line.url).open(authorizeUrl(line, params))
  return Object.fromEntries(new URL(page.url).searchParams)
}

describe('LINE authorization request: what is refused on a page, without a redirect', () => {
  test.each([
    ['an unknown channel', { client_id: '999' }, 'Invalid client_id. You can use a Channel ID found'],
    ['a messaging channel', { client_id: botChannelId }, 'Invalid client_id.'],
    [
      'an unregistered address',
      { redirect_uri: 'http://evil.example/callback' },
      'Invalid redirect_uri value.',
    ],
    ['a longer path', { redirect_uri: `${callbackUrl}/more` }, 'Invalid redirect_uri value.'],
    ['another port', { redirect_uri: 'http://rp.example.com:81/callback' }, 'Invalid redirect_uri value.'],
    ['a missing address', { redirect_uri: undefined }, 'Invalid redirect_uri value.'],
  ])('%s', async (_, params, text) => {
    const page = await openLineBrowser(line.url).open(authorizeUrl(line, params))
    expect(page.status).toBe(400)
    expect(page.html).toContain(text)
  })

  test('a developing channel, for a person without a role', async () => {
    Object.assign(loginChannelOf(line), { status: 'developing', testerIds: ['person-b'] })
    const browser = openLineBrowser(line.url)
    const page = await browser.submit(await browser.open(authorizeUrl(line)), '/login', {
      person: 'person-a',
    })
    expect(page.status).toBe(400)
    expect(page.html).toContain('This channel is now developing status. User need to have developer role.')
    expect((await logIn(line, { person: 'person-b' })).searchParams.has('code')).toBe(true)
  })
})

describe('LINE authorization request: what is refused by redirect, in upper case', () => {
  const state = 'state0123456789'
  test.each([
    [
      'no state',
      { state: undefined },
      { error: 'INVALID_REQUEST', error_description: "'state' is not specified." },
    ],
    ['another response type', { response_type: 'token' }, { error: 'UNSUPPORTED_RESPONSE_TYPE', state }],
    ['an unknown scope', { scope: 'openid phone' }, { error: 'INVALID_SCOPE', state }],
    ['e-mail without openid', { scope: 'profile email' }, { error: 'INVALID_SCOPE', state }],
    ['an unknown prompt', { prompt: 'select_account' }, { error: 'INVALID_REQUEST', state }],
    ['none with another prompt', { prompt: 'none login' }, { error: 'INVALID_REQUEST', state }],
    ['a negative age', { max_age: '-1' }, { error: 'INVALID_REQUEST', state }],
    [
      'PKCE plain',
      { code_challenge: 'x'.repeat(43), code_challenge_method: 'plain' },
      { error: 'INVALID_REQUEST' },
    ],
    ['PKCE without a method', { code_challenge: 'x'.repeat(43) }, { error: 'INVALID_REQUEST', state }],
    ['an unknown response mode', { response_mode: 'fragment' }, { error: 'INVALID_REQUEST', state }],
    ['no login for prompt=none', { prompt: 'none' }, { error: 'LOGIN_REQUIRED', state }],
  ])('%s', async (_, params, expected) => {
    expect(await errorOf(params)).toMatchObject(expected)
  })

  test('a state with other characters, only when the strict switch is on', async () => {
    const params = { state: 'a-b_c.d' }
    expect((await logIn(line, { params })).searchParams.get('state')).toBe('a-b_c.d')
    line.simulator.state.settings.stateCharset = 'alnum'
    expect(await errorOf(params)).toMatchObject({ error: 'INVALID_REQUEST' })
  })
})

describe('LINE authorization response', () => {
  test("keeps the callback URL's own query and allows more of it than was registered", async () => {
    loginChannelOf(line).callbackUrls = [`${callbackUrl}?tenant=a`]
    expect((await openLineBrowser(line.url).open(authorizeUrl(line))).status).toBe(400)
    const callback = await logIn(line, { params: { redirect_uri: `${callbackUrl}?tenant=a&more=1` } })
    expect(Object.fromEntries(callback.searchParams)).toMatchObject({
      tenant: 'a',
      more: '1',
      state: 'state0123456789',
    })
  })

  test.each(['jwt', 'query.jwt'])(
    '%s delivers one parameter signed with the channel secret',
    async (response_mode) => {
      const callback = await logIn(line, { params: { response_mode } })
      expect([...callback.searchParams.keys()]).toEqual(['response'])
      const key = new TextEncoder().encode(loginChannelOf(line).secret)
      const { payload, protectedHeader } = await jwtVerify(callback.searchParams.get('response') ?? '', key, {
        issuer: line.url,
        audience: loginChannelId,
      })
      expect(protectedHeader).toEqual({ typ: 'JWT', alg: 'HS256' })
      expect(payload).toMatchObject({ code: expect.stringMatching(/^\w{20}$/), state: 'state0123456789' })
    },
  )

  test.each([
    ['form_post', ['code', 'state']],
    ['form_post.jwt', ['response']],
  ])('%s is a form that a person can send without JavaScript', async (response_mode, names) => {
    const browser = openLineBrowser(line.url)
    const login = await browser.open(authorizeUrl(line, { response_mode }))
    const consent = await browser.submit(login, '/login', { person: 'person-a' })
    const page = await browser.submit(consent, '/consent', { decision: 'allow' })
    expect(page.html).toContain(`<form method="post" action="${callbackUrl}">`)
    expect([...page.html.matchAll(/name="(\w+)" value/g)].map(([, name]) => name)).toEqual(names)
    expect(page.html).toMatch(/<button class="main">.+<\/button>/)
  })

  test('a denial is ACCESS_DENIED with the documented text', async () => {
    const callback = await logIn(line, { consent: { decision: 'cancel' } })
    expect(Object.fromEntries(callback.searchParams)).toEqual({
      error: 'ACCESS_DENIED',
      error_description: 'The resource owner denied the request.',
      state: 'state0123456789',
    })
  })
})
