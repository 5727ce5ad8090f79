import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'
import { changingRoutes, fill, ownRoutes, type Route } from '../support/routes.ts'

let server: TestApp
let member: Browser
let stranger: Browser
let uid = ''
let tokens: { member: string; stranger: string }
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'shop' })
  const { id: memberId, email, password } = await givenMember(server)
  await givenIdentity(server, { memberId, connectionId: 'shop' })
  member = await signInTo(server, { email, password }, openBrowser())
  stranger = openBrowser()
  tokens = { member: await tokenOf(member), stranger: await tokenOf(stranger) }
})
afterAll(() => server.close())

const uidOf = ({ url }: Page) => url.pathname.split('/')[2] ?? ''

/** An interaction in which every step has been taken, so that each of its forms is really read. */
async function arrive(): Promise<string> {
  const signUp = await stranger.open(`${server.issuer}/sign-up`)
  const address = { name: 'New Member', email: 'new@example.com', password: 'violet harbor lantern' }
  const verify = await stranger.submit(signUp, '/sign-up', address)
  return uidOf(verify)
}

const names = [
  '_csrf',
  'to',
  'return_to',
  'name',
  'email',
  'password',
  'currentPassword',
  'newPassword',
  'code',
  'shown',
]
const good = {
  to: 'en',
  return_to: '/',
  name: 'Some Member',
  email: 'some@example.com',
  password: 'violet harbor lantern',
  currentPassword: 'violet harbor lantern',
  newPassword: 'violet harbor lantern',
  code: '123456',
  shown: 'x',
}

/** Forms that would end the sessions these tests stand on go last. */
const routes = () =>
  changingRoutes(server.app).sort(
    ({ path: a }, { path: b }) => Number(/out|cancel/.test(a)) - Number(/out|cancel/.test(b)),
  )

const visitorOf = ({ path }: Route) => (path.startsWith('/interaction') ? 'stranger' : 'member')

async function submit(route: Route, body: string, type = 'application/x-www-form-urlencoded') {
  const browser = visitorOf(route) === 'stranger' ? stranger : member
  const path = fill(route.path, { uid, id: 'shop' })
  const response = await browser.request(server.issuer + path, {
    method: route.method,
    headers: { 'content-type': type },
    body,
  })
  const html = await response.text()
  const answer = {
    path: route.path,
    status: response.status,
    page: html.startsWith('<!doctype html>') || response.status === 303,
  }
  return { ...answer, failed: response.status >= 500 }
}

async function tokenOf(browser: Browser): Promise<string> {
  const { html } = await browser.open(server.issuer)
  return /name="_csrf" value="([^"]+)"/.exec(html)?.[1] ?? ''
}

const bodyOf = (fields: Record<string, string>) => new URLSearchParams(fields).toString()

describe('in each field of each form', () => {
  test.each([
    ['a NUL', 'a\0b@example.com'],
    ['nothing but a NUL', '\0'],
    ['a line break', 'a\r\nBcc: b@example.com'],
    ['half a character', '%ED%A0%80'],
    ['bytes that are no text', '%FF%FE'],
    ['every control character', String.fromCharCode(...Array.from({ length: 32 }, (_, i) => i))],
    ['a character that turns words around', '\u202eabc'],
    ['10 KB', 'a'.repeat(10_000)],
    ['a name of the language', '__proto__'],
    ['SQL', `'; DROP TABLE "Member"; --`],
  ])('%s is refused or taken as text, never a failure', async (_, value) => {
    uid = await arrive()
    const encoded = value.startsWith('%') ? value : encodeURIComponent(value)
    for (const route of routes()) {
      const token = tokens[visitorOf(route)]
      for (const name of names) {
        const { [name as keyof typeof good]: _replaced, ...rest } = good
        const body = `${bodyOf({ ...rest, ...(name !== '_csrf' && { _csrf: token }) })}&${name}=${encoded}`
        const answer = await submit(route, body)
        expect({ name, ...answer }).toMatchObject({ name, failed: false, page: true })
      }
    }
  })

  test('a field sent twice is no list', async () => {
    uid = await arrive()
    for (const route of routes()) {
      const token = tokens[visitorOf(route)]
      for (const name of names) {
        const body = `${bodyOf({ ...good, _csrf: token })}&${name}=a&${name}[]=b&${name}[x]=c`
        expect({ name, ...(await submit(route, body)) }).toMatchObject({ name, failed: false, page: true })
      }
    }
  })

  test('100 KB is more than a form may have', async () => {
    for (const route of routes()) {
      const body = bodyOf({ ...good, name: 'a'.repeat(100_000) })
      expect(await submit(route, body)).toMatchObject({ status: 413, page: true })
    }
  })

  test('10,000 fields are more than a form may have', async () => {
    const body = Array.from({ length: 10_000 }, (_, i) => `${i}`).join('&')
    for (const route of routes()) {
      const { status, page } = await submit(route, body)
      expect({ page, refused: status >= 400 && status < 500 }).toEqual({ page: true, refused: true })
    }
  })
})

describe('a body that is no form', () => {
  const part = (name: string, value: string) =>
    `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  test.each<[string, (fields: Record<string, string>) => string]>([
    ['application/json', (fields) => JSON.stringify(fields)],
    ['text/plain', bodyOf],
    [
      'multipart/form-data; boundary=x',
      (fields) =>
        `${Object.entries(fields)
          .map(([name, value]) => part(name, value))
          .join('')}--x--`,
    ],
    [
      'text/xml',
      () => '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ],
    ['nonsense', bodyOf],
  ])('%s is refused, whatever token it carries', async (type, write) => {
    for (const route of routes()) {
      const { status, page } = await submit(route, write({ ...good, _csrf: tokens[visitorOf(route)] }), type)
      const refused = [400, 403, 415].includes(status)
      expect({ path: route.path, page, refused }).toEqual({ path: route.path, page: true, refused: true })
    }
  })

  test('a compressed form is not unpacked', async () => {
    const response = await member.request(`${server.issuer}/locale`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
      body: 'to=en',
    })
    expect(response.status).toBe(415)
  })
})

describe('in each address', () => {
  const pages = () => ownRoutes(server.app).filter(({ method }) => method === 'GET')

  test.each([
    ['a NUL', '%00'],
    ['a line break', '%0d%0aSet-Cookie:a=b'],
    ['bytes that are no text', '%ff'],
    ['half a character', '%ED%A0%80'],
    ['8 KB', 'a'.repeat(8000)],
    ['another path', '..%2f..%2fetc'],
    ['SQL', "'%3b--"],
    ['half an escape', '%'],
    ['a name of the language', '__proto__'],
  ])('%s names no page, or one that refuses', async (_, value) => {
    for (const { path } of pages()) {
      for (const browser of [member, stranger]) {
        const response = await browser.request(server.issuer + path.replace(/:\w+/g, value))
        expect([path, response.status < 500]).toEqual([path, true])
      }
    }
  })

  const parameters = [
    'state',
    'code',
    'error',
    'iss',
    'notice',
    'connection',
    'ui_locales',
    'resent',
    'saved',
  ]
  test.each([
    ['of a NUL', (name: string) => `${name}=%00`],
    ['of bytes that are no text', (name: string) => `${name}=%ff`],
    ['of two lines', (name: string) => `${name}=a%0d%0aSet-Cookie:a=b`],
    ['sent twice', (name: string) => `${name}=a&${name}=b`],
    ['of 8 KB', (name: string) => `${name}=${'a'.repeat(8000)}`],
  ])('a parameter %s is refused or ignored', async (_, query) => {
    for (const { path } of pages()) {
      for (const name of parameters) {
        const filled = fill(path, { uid, id: 'shop' })
        const response = await member.request(`${server.issuer}${filled}?${query(name)}`)
        expect([filled, name, response.status < 500]).toEqual([filled, name, true])
        expect(response.headers.getSetCookie().join()).not.toContain('a=b')
      }
    }
  })
})

describe('the engine’s endpoints', () => {
  const parameters = [
    'client_id',
    'client_secret',
    'code',
    'refresh_token',
    'token',
    'id_token_hint',
    'login_hint',
    'scope',
  ]
  test.each(['authorize', 'token', 'introspect', 'revoke', 'sign-out', 'userinfo', 'par'])(
    '/%s takes a NUL for a fault of the request',
    async (path) => {
      for (const name of parameters) {
        const known = { client_id: 'hitotsu-account', grant_type: 'authorization_code' }
        const form = new URLSearchParams({ ...known, [name]: 'a\0b' })
        const answers = [
          await fetch(`${server.issuer}/${path}`, { method: 'POST', body: form, redirect: 'manual' }),
          await fetch(`${server.issuer}/${path}?${form}`, { redirect: 'manual' }),
        ]
        expect([name, answers.map(({ status }) => status < 500)]).toEqual([name, [true, true]])
      }
    },
  )

  test('a client that authenticates with a NUL is unknown', async () => {
    const authorization = `Basic ${Buffer.from('a%00b:c%00d').toString('base64')}`
    const body = new URLSearchParams({ grant_type: 'client_credentials' })
    const { status } = await fetch(`${server.issuer}/token`, {
      method: 'POST',
      body,
      headers: { authorization },
    })
    expect([400, 401]).toContain(status)
  })
})

test('cookies that make no sense sign nobody in and break nothing', async () => {
  for (const value of ['%00', 'a'.repeat(4000), '{"a":1}', '=;=', '__proto__', '"', '\u00e9']) {
    const cookie = [
      'hitotsu_session',
      'hitotsu_session.sig',
      'hitotsu_browser',
      'hitotsu_interaction',
      'hitotsu_locale',
    ]
      .map((name) => `${name}=${value}`)
      .join('; ')
    for (const path of [
      '/',
      '/account',
      '/sign-up',
      '/interaction/abc/sign-in',
      '/connections/shop/callback?state=a',
    ]) {
      const response = await fetch(server.issuer + path, { headers: { cookie }, redirect: 'manual' })
      expect([path, response.status < 500]).toEqual([path, true])
    }
  }
})
