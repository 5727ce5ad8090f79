import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Browser } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { linkThrough, signInTo } from '../support/linking.ts'
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

test('who must prove afresh who they are must do so in the new try after a stray answer, too', async () => {
  const browser = await signInTo(server, await givenMember(server))
  await linkThrough(server, browser, 'upstream')
  server.advance(3600)
  const proof = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
  expect(proof.url.pathname).toMatch(/sign-in$/)

  const first = await leaving(browser, () => browser.submit(proof, '/connections/upstream'))
  const stray = `${server.issuer}/connections/upstream/callback?code=stray&state=of-no-trip-of-this-browser`
  const second = await leaving(browser, () => browser.open(stray))

  for (const request of [first, second]) {
    expect(Object.fromEntries(request.searchParams)).toMatchObject({ prompt: 'login', max_age: '0' })
  }
  expect(second.searchParams.get('state')).not.toBe(first.searchParams.get('state'))
})

/** The authorization request with which the browser leaves for the upstream, not yet sent. */
async function leaving(browser: Browser, act: () => Promise<{ url: URL }>): Promise<URL> {
  browser.stopAt(upstream.issuer)
  const { url } = await act()
  browser.stopAt(undefined)
  expect(url.origin).toBe(upstream.issuer)
  return url
}
