import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { givenClient } from '../support/given.ts'
import { begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

const stepOf = ({ url }: Page) => url.pathname.split('/').at(-1)

async function ask(parameters: Record<string, string>, browser: Browser = openBrowser()): Promise<Page> {
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, parameters)).url)
}

describe('OpenID Connect Core 1.0 section 3.1.2.1: login_hint', () => {
  test.each([
    'not an address',
    '"><img src=x onerror=alert(1)>@example.com',
    'tel:+810000000',
    'a\u202eb@example.com',
  ])('%j is no address and left out', async (hint) => {
    const page = await ask({ login_hint: hint })
    expect(page.html).toMatch(/name="email"[^>]*value=""/)
  })

  test.each([
    ['sign-in', {}],
    ['sign-up', { prompt: 'create' }],
  ])('begins the form of %s', async (step, parameters: Record<string, string>) => {
    const page = await ask({ login_hint: 'Hana+shop@example.com', ...parameters })
    expect(stepOf(page)).toBe(step)
    expect(page.html).toMatch(/name="email"[^>]*value="Hana\+shop@example\.com"/)
  })
})

describe('OpenID Connect Core 1.0 section 3.1.2.1: ui_locales', () => {
  const languageOf = ({ html }: Page) => /<html lang="(\w+)"/.exec(html)?.[1]

  test.each([
    ['fr tlh', 'en'],
    ['"><script>', 'en'],
    ['ja-JP en', 'ja'],
    ['fr ja', 'ja'],
  ])('%s is spoken as %s', async (asked, language) => {
    const page = await ask({ ui_locales: asked })
    expect([languageOf(page), page.headers.get('content-language')]).toEqual([language, language])
  })

  test('yields to the language the reader has chosen', async () => {
    const browser = openBrowser()
    const page = await ask({ ui_locales: 'ja' }, browser)
    const chosen = await browser.submit(page, '/locale', { to: 'en' })
    expect([languageOf(page), languageOf(chosen)]).toEqual(['ja', 'en'])
    expect(languageOf(await ask({ ui_locales: 'ja' }, browser))).toBe('en')
  })
})

describe('OpenID Connect Core 1.0 section 3.1.2.1: display', () => {
  test.each(['page', 'popup', 'touch', 'wap', 'hologram'])(
    '%s shows the one page there is',
    async (display) => {
      const page = await ask({ display })
      expect([page.status, stepOf(page)]).toEqual([200, 'sign-in'])
    },
  )
})
