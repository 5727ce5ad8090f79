import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf, signInTo } from '../support/linking.ts'
import { changingRoutes, fill } from '../support/routes.ts'

let server: TestApp
let browser: Browser
let token: string
let foreignToken: string
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'shop' })
  const member = await givenMember(server)
  await givenIdentity(server, { memberId: member.id, connectionId: 'shop' })
  browser = await signInTo(server, member, openBrowser())
  token = tokenOf((await browser.open(`${server.issuer}/account`)).html)
  foreignToken = tokenOf((await openBrowser().open(server.issuer)).html)
})
afterAll(() => server.close())

const tokenOf = (html: string) => /name="_csrf" value="([^"]+)"/.exec(html)?.[1] ?? ''

/** Fields of every form there is, each as its own form would take it. */
const fields = {
  to: 'en',
  return_to: '/',
  name: 'Changed Name',
  email: 'changed@example.com',
  password: 'violet harbor lantern',
  currentPassword: 'violet harbor lantern',
  newPassword: 'copper meadow thimble',
  code: '123456',
  shown: 'x',
}

const attempts: [string, () => { headers?: Record<string, string>; csrf?: string }, string][] = [
  ['without a token', () => ({}), 'form_expired'],
  ['with an empty token', () => ({ csrf: '' }), 'form_expired'],
  ['with a made-up token', () => ({ csrf: 'A'.repeat(43) }), 'form_expired'],
  ['with the token of another browser', () => ({ csrf: foreignToken }), 'form_expired'],
  [
    'from another site',
    () => ({ csrf: token, headers: { 'sec-fetch-site': 'cross-site' } }),
    'cross_site_request',
  ],
  [
    'from another host of this site',
    () => ({ csrf: token, headers: { 'sec-fetch-site': 'same-site' } }),
    'cross_site_request',
  ],
  [
    'from another origin',
    () => ({ csrf: token, headers: { origin: 'https://evil.example' } }),
    'cross_site_request',
  ],
  [
    'from nowhere, as a sandboxed frame says',
    () => ({ csrf: token, headers: { origin: 'null' } }),
    'cross_site_request',
  ],
  [
    'from another port of this host',
    () => ({ csrf: token, headers: { origin: 'http://localhost:1' } }),
    'cross_site_request',
  ],
]

function attempt(
  path: string,
  method: string,
  { headers = {}, csrf }: { headers?: Record<string, string>; csrf?: string },
) {
  const body = new URLSearchParams({ ...fields, ...(csrf !== undefined && { _csrf: csrf }) })
  return browser.request(server.issuer + fill(path, { id: 'shop' }), { method, headers, body })
}

test('there are routes to protect', () => {
  const paths = changingRoutes(server.app).map(({ path }) => path)
  expect(paths).toEqual(
    expect.arrayContaining(['/locale', '/account/profile', '/interaction/:uid/sign-in', '/link/:id/agree']),
  )
})

describe.each(attempts)('a form %s', (_, options, code) => {
  test('is refused with a page by every route, and changes nothing', async () => {
    const { result, rows, events } = await changesOf(server, async () => {
      const answers = []
      for (const { method, path } of changingRoutes(server.app)) {
        const response = await attempt(path, method, options())
        answers.push({
          path,
          status: response.status,
          told: (await response.text()).includes(code),
          cookies: response.headers.getSetCookie(),
        })
      }
      return answers
    })
    for (const { path, ...answer } of result)
      expect({ path, ...answer }).toEqual({ path, status: 403, told: true, cookies: [] })
    expect({ rows, events }).toEqual({ rows: {}, events: [] })
  })
})

test('a token is worth nothing in a browser it was not made for', async () => {
  const response = await openBrowser().request(`${server.issuer}/account/profile`, {
    method: 'POST',
    body: new URLSearchParams({ name: 'Changed Name', _csrf: token }),
  })
  expect(response.status).toBe(403)
})

test('a GET changes nothing, whatever it carries', async () => {
  const { rows, events } = await changesOf(server, async () => {
    for (const { path } of changingRoutes(server.app))
      await browser.request(
        `${server.issuer}${fill(path, { id: 'shop' })}?${new URLSearchParams({ ...fields, _csrf: token })}`,
      )
  })
  expect({ rows, events }).toEqual({ rows: {}, events: [] })
})

test('the same form from a page of ours is taken', async () => {
  for (const headers of [
    {},
    { origin: server.issuer },
    { origin: server.issuer, 'sec-fetch-site': 'same-origin' },
  ]) {
    const response = await attempt('/account/profile', 'POST', { csrf: token, headers })
    expect([response.status, response.headers.get('location')]).toEqual([303, '/account/profile?saved=1'])
  }
})

test('no route is refused for other reasons: with its token each form gets past the check', async () => {
  for (const { method, path } of changingRoutes(server.app)) {
    const response = await attempt(path, method, { csrf: token })
    expect([path, response.status === 403 && (await response.text()).includes('form_expired')]).toEqual([
      path,
      false,
    ])
  }
})
