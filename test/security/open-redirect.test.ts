import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { givenConnection, givenMember } from '../support/given.ts'
import { signInTo } from '../support/linking.ts'

let server: TestApp
let browser: Browser
let home: Page
beforeAll(async () => {
  server = await startTestApp()
  await givenConnection(server, { id: 'shop' })
  browser = await signInTo(server, await givenMember(server), openBrowser())
  home = await openBrowser().open(server.issuer)
})
afterAll(() => server.close())

const elsewhere = [
  'https://evil.example',
  'http://evil.example/',
  'https:evil.example',
  '//evil.example',
  '///evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/.//evil.example',
  '/account/..//evil.example',
  '/%2e//evil.example',
  '/\t/evil.example',
  '\t//evil.example',
  '/account\r\nLocation: https://evil.example',
  'javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'evil.example',
]

/** Where a browser would be after this answer. */
function target(response: Response): string {
  const location = response.headers.get('location')
  return location === null ? '' : new URL(location, `${server.issuer}/somewhere/below`).origin
}

describe.each(elsewhere)('%j', (place) => {
  test('is no place to go to after choosing a language', async () => {
    const stranger = openBrowser()
    const page = await stranger.open(server.issuer)
    const token = /name="_csrf" value="([^"]+)"/.exec(page.html)?.[1] ?? ''
    const response = await stranger.request(`${server.issuer}/locale`, {
      method: 'POST',
      body: new URLSearchParams({ _csrf: token, to: 'en', return_to: place }),
    })
    expect([response.status, target(response)]).toEqual([303, server.issuer])
    expect(response.headers.get('location')).not.toMatch(/evil/)
  })

  test('is no place to go to after signing in', async () => {
    const url = `${server.issuer}/account/return?${new URLSearchParams({ state: place, code: 'x' })}`
    const response = await browser.request(url)
    expect([response.status, response.headers.get('location')]).toEqual([303, '/account'])
  })

  test('is no place to go to after an upstream', async () => {
    for (const name of ['state', 'redirect_uri', 'return_to', 'next']) {
      const url = `${server.issuer}/connections/shop/callback?${new URLSearchParams({ [name]: place, code: 'x' })}`
      const response = await browser.request(url)
      expect([response.status, response.headers.get('location')]).toEqual([400, null])
    }
  })

  test('is no place to go to after signing out', async () => {
    const page = await openBrowser().open(
      `${server.issuer}/session/end?${new URLSearchParams({ post_logout_redirect_uri: place })}`,
    )
    expect(page.url.origin).toBe(server.issuer)
  })

  test('as an address of ours that is asked for, leads nowhere else', async () => {
    const response = await openBrowser().request(
      new URL(`/account?${new URLSearchParams({ to: place })}`, server.issuer),
    )
    expect(target(response)).toBe(server.issuer)
  })
})

test('what was asked for before signing in is found again after it', async () => {
  const response = await browser.request(
    `${server.issuer}/account/return?state=/account/profile%3Fsaved%3D1&code=x`,
  )
  expect(response.headers.get('location')).toBe('/account/profile?saved=1')
})

test('a page keeps its reader where they are when they choose a language', async () => {
  expect(home.html).toContain('name="return_to" value="/"')
  const profile = await browser.open(`${server.issuer}/account/profile?saved=1`)
  const chosen = await browser.submit(profile, '/locale')
  expect(chosen.url.pathname + chosen.url.search).toBe('/account/profile?saved=1')
})
