import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createSealer } from '../../src/security/seal.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { changesOf, signInTo, visitor } from '../support/linking.ts'
import type { OAuth2Server } from '../support/oauth2-server.ts'
import { givenTrial, tryOut } from '../support/trials.ts'
import { givenOAuth2, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let club: OAuth2Server
let other: OAuth2Server
beforeAll(async () => {
  server = await startLinkingApp({ inProcessStore: true })
  club = await givenOAuth2(server, { id: 'club' })
  other = await givenOAuth2(server, { id: 'other' })
})
afterAll(async () => {
  await Promise.all([server.close(), club.close(), other.close()])
})

let browser: Browser
let url: string
beforeEach(() => {
  browser = visitor()
  url = givenTrial(server, 'club')
  club.requests.length = 0
})

const works = 'The connection works'

/** The address with which the upstream sends this browser back. */
async function catchAnswer(visiting = browser, at = url): Promise<URL> {
  visiting.stopAt(`${server.issuer}/connections/`)
  const { url: callback } = await tryOut(visiting, at)
  visiting.stopAt(undefined)
  return callback
}

describe('a trial address', () => {
  test.each([
    ['that was made up', () => `${server.issuer}/connection-trial?ticket=v1.aaaaaaaa.aaaa.aaaa`],
    ['without a ticket', () => `${server.issuer}/connection-trial`],
    [
      'that another key sealed',
      () => givenTrial({ ...server, sealer: createSealer(['k'.repeat(32)]) }, 'club'),
    ],
    ['of a connection that does not exist', () => givenTrial(server, 'nowhere')],
    [
      'that was altered',
      () => url.replace(/\.(.)([^.]*)$/, (_, first, rest) => `.${first === 'A' ? 'B' : 'A'}${rest}`),
    ],
    [
      'whose ticket was sealed for something else',
      () =>
        `${server.issuer}/connection-trial?ticket=${server.sealer.seal(ticket(), 'connection secret club')}`,
    ],
  ])('%s leads nowhere', async (_, make) => {
    const page = await browser.open(make())
    expect(page.status).toBe(410)
    expect(page.html).toContain('trial_over')
    expect(club.requests).toEqual([])
  })

  test('is over after ten minutes, wherever its trip is', async () => {
    const page = await browser.open(url)
    server.advance(601)
    expect((await browser.open(url)).status).toBe(410)
    expect((await browser.submit(page, '/connection-trial')).status).toBe(410)
    expect(club.requests).toEqual([])
  })

  test('is used up by its answer: back, reload and a second start lead to a clear end', async () => {
    const page = await browser.open(url)
    const callback = await catchAnswer()
    expect((await browser.open(callback)).html).toContain(works)
    for (const again of [
      await browser.open(callback),
      await browser.open(url),
      await browser.submit(page, '/connection-trial'),
    ]) {
      expect(again.status).toBe(410)
      expect(again.html).not.toContain('member-1')
    }
    expect(club.requests.filter(({ path }) => path === '/token')).toHaveLength(1)
  })

  test('that something opens before its reader does is not used up', async () => {
    await visitor().open(url)
    await visitor().open(url)
    expect((await tryOut(browser, url)).html).toContain(works)
  })

  test('begun in one browser goes on in no other', async () => {
    const stranger = visitor()
    const page = await stranger.open(url)
    const callback = await catchAnswer()
    expect((await stranger.submit(page, '/connection-trial')).status).toBe(403)
    expect(club.requests.map(({ path }) => path)).toEqual(['/authorize'])
    const taken = await changesOf(server, () => stranger.open(callback))
    expect(taken.result.status).toBe(403)
    expect(taken).toMatchObject({ rows: {}, events: [] })
    expect((await browser.open(callback)).html).toContain(works)
  })

  test('pressed twice gives one answer, whichever comes back', async () => {
    const page = await browser.open(url)
    browser.stopAt(`${server.issuer}/connections/`)
    const pressed = await Promise.all([
      browser.submit(page, '/connection-trial'),
      browser.submit(page, '/connection-trial'),
    ])
    browser.stopAt(undefined)
    const answers = await Promise.all(pressed.map(({ url: callback }) => browser.open(callback)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 410])
    expect(club.requests.filter(({ path }) => path === '/token')).toHaveLength(1)
  })

  test('is refused from a page of another site', async () => {
    const response = await browser.request(`${server.issuer}/connection-trial`, {
      method: 'POST',
      headers: { 'sec-fetch-site': 'cross-site' },
      body: new URLSearchParams({ ticket: new URL(url).searchParams.get('ticket') ?? '' }),
    })
    expect(response.status).toBe(403)
  })

  test('opened over and over is slowed down', async () => {
    const eager = openBrowser('en', '203.0.113.77')
    const statuses = []
    for (let count = 0; count < 61; count++) statuses.push((await eager.request(url)).status)
    expect(statuses.slice(0, 60)).not.toContain(429)
    expect(statuses.at(-1)).toBe(429)
  })
})

describe('the answer to a trial', () => {
  test('at the callback of another connection is refused, and its code goes nowhere', async () => {
    const callback = await catchAnswer()
    const swapped = new URL(callback.href.replace('/connections/club/', '/connections/other/'))
    const { result, ...changes } = await changesOf(server, () => browser.open(swapped))
    expect(result.status).toBe(403)
    expect(changes).toEqual({ rows: {}, events: [] })
    expect(other.requests).toEqual([])
  })

  test('links nothing for a member who is signed in in the same browser', async () => {
    const signedIn = await signInTo(server, await givenMember(server))
    const { result, ...changes } = await changesOf(server, () => tryOut(signedIn, url))
    expect(result.html).toContain(works)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('is in no log: neither the ticket, nor the code, nor who it was', async () => {
    club.behavior.userinfo = { id: 'canary-subject', email: 'canary@club.example' }
    const callback = await catchAnswer()
    await browser.open(callback)
    club.behavior.userinfo = { id: 'member-1' }
    const logged = server.logged()
    expect(logged).toContain('/connection-trial')
    for (const secret of [
      new URL(url).searchParams.get('ticket') ?? '',
      callback.searchParams.get('code') ?? '',
      ...['canary-subject', 'canary@club.example'],
    ])
      expect(logged).not.toContain(secret)
  })
})

function ticket(): string {
  return JSON.stringify({ id: 'a', connectionId: 'club', expiresAt: 9e9 })
}
