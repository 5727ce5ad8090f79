import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { openChromium } from '../support/chromium.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
/** The relying party's own address, and what was posted to it. */
let callback: Server
const posted: { method: string; type: string; body: string }[] = []
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  callback = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const { method = '', headers } = request
      if (request.url === '/callback') posted.push({ method, type: headers['content-type'] ?? '', body })
      response.setHeader('content-type', 'text/html; charset=utf-8')
      response.end('<!doctype html><html lang="en"><title>Shop</title><main><h1>Shop</h1></main>')
    })
  })
  await new Promise<void>((resolve) => callback.listen(0, 'localhost', resolve))
  const { port } = callback.address() as AddressInfo
  const redirectUris = [`http://localhost:${port}/callback`]
  party = await relyingParty(server, await givenClient(server, { redirectUris }))
})
afterAll(async () => {
  callback.closeAllConnections()
  await new Promise((resolve) => callback.close(resolve))
  await server.close()
})

const html = { accept: 'text/html' }

/** The page with which somebody who is not signed in is sent back. */
async function refusalPage(parameters: Record<string, string> = {}, headers: object = html) {
  const { url } = await begin(party, { response_mode: 'form_post', prompt: 'none', ...parameters })
  return send(url, { headers })
}

describe('OAuth 2.0 Form Post Response Mode', () => {
  test('a mode there is not is refused', async () => {
    const { url } = await begin(party, { response_mode: 'web_message' })
    const { headers } = await send(url, { headers: html })
    expect(new URL(String(headers.location)).searchParams.get('error')).toBe('unsupported_response_mode')
  })

  test('section 4: what a request holds is text on the page', async () => {
    const state = '"><script>alert(1)</script>&<b>'
    const { text } = await refusalPage({ state })
    expect(text).not.toContain('<script>alert')
    expect(text).toContain('value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&lt;b&gt;"')
  })

  test('section 2: what a request holds comes back as it was', async () => {
    posted.length = 0
    const state = `&amp;"><b>'&#39; 店 a+b%20`
    const browser = openBrowser()
    const { url } = await begin(party, { response_mode: 'form_post', prompt: 'none', state })
    await browser.submit(await browser.open(url), '/callback')
    expect(new URLSearchParams(posted[0]?.body).get('state')).toBe(state)
  })

  test('section 2: an error is in the form, and not in the address', async () => {
    const { status, headers, text } = await refusalPage({ state: 'some-state' })
    expect([status, headers.location]).toEqual([400, undefined])
    const fields = [...text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)]
    expect(Object.fromEntries(fields.map(([, name, value]) => [name, value]))).toMatchObject({
      error: 'login_required',
      state: 'some-state',
      iss: server.issuer,
    })
  })

  test('section 4: the page is kept nowhere, shown in no other page, and runs no script but its own', async () => {
    const { headers, text } = await refusalPage()
    const policy = String(headers['content-security-policy'])
    expect(headers).toMatchObject({
      'cache-control': expect.stringContaining('no-store'),
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    })
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe-inline')
    const nonces = [...text.matchAll(/<script nonce="([^"]+)">/g)].map(([, nonce]) => nonce)
    expect(text.match(/<script/g)).toHaveLength(nonces.length)
    for (const nonce of nonces) expect(policy).toContain(`'nonce-${nonce}'`)
  })

  test.each([
    ['ja', '進む'],
    ['en', 'Continue'],
  ])('the page is in the language of who reads it: %s', async (locale, button) => {
    const { text } = await refusalPage({}, { ...html, 'accept-language': locale })
    expect(text).toContain(`<html lang="${locale}">`)
    expect(text).toContain(`>${button}</button>`)
  })

  test('without scripts, a button sends the answer', async () => {
    posted.length = 0
    const browser = openBrowser()
    const page = await browser.open((await begin(party, { response_mode: 'form_post', prompt: 'none' })).url)
    await browser.submit(page, '/callback')
    expect(posted).toMatchObject([
      { method: 'POST', type: expect.stringMatching(/^application\/x-www-form/) },
    ])
    expect(new URLSearchParams(posted[0]?.body).get('error')).toBe('login_required')
  })

  test('with scripts the answer goes by itself, and gives a relying party tokens', async () => {
    posted.length = 0
    const attempt = await begin(party, { response_mode: 'form_post' })
    const chromium = await openChromium()
    const { page, open, press } = await chromium.visit()
    await open(attempt.url.href)
    await page.locator('[name=email]').fill(member.email)
    await page.locator('[name=password]').fill(member.password)
    await press(page.locator('form[action$="/sign-in"] button[type=submit]').first())
    await page.locator('form[action$="/consent"] button[type=submit]').first().click()
    await vi.waitFor(() => expect(posted).toHaveLength(1), { timeout: 10_000 })
    await chromium.endVisits()
    await chromium.close()
    const request = new Request(party.redirectUri, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: posted[0]?.body ?? '',
    })
    const tokens = await oidc.authorizationCodeGrant(party.config, request, {
      pkceCodeVerifier: attempt.codeVerifier,
      expectedState: attempt.state,
      expectedNonce: attempt.nonce,
    })
    expect(tokens.claims()?.sub).toBe(member.id)
  })
})
