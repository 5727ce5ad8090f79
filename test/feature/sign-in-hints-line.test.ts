import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import type { Browser, Page } from '../support/browser.ts'
import { givenClient, givenIdentity, givenMember } from '../support/given.ts'
import { catchCallback, visitor } from '../support/linking.ts'
import { begin, type RelyingParty, redeem, relyingParty } from '../support/relying-party.ts'
import { givenLine, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
let party: RelyingParty
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
  const clientUri = 'https://shop.example.com/'
  party = await relyingParty(server, await givenClient(server, { firstParty: true, clientUri }))
})
afterAll(async () => {
  await Promise.all([server.close(), line.close()])
})

let person: string
let memberId: string
let count = 0
beforeEach(async () => {
  person = `person-${++count}`
  line.control.putPerson({
    id: person,
    name: `LINE 花子 ${count}`,
    email: `${person}@line.example`,
    password: 'password',
    picture: true,
    language: 'ja',
    profileConsent: true,
  })
  memberId = (await givenMember(server)).id
  await givenIdentity(server, { memberId, connectionId: 'line', subject: userIdOf('provider-a', person) })
  line.control.signInToApp(person)
  line.control.configure({ autoLoginFailure: 'off' })
})

async function goToLine(browser: Browser, parameters: Record<string, string> = {}) {
  browser.stopAt(party.redirectUri)
  const attempt = await begin(party, { connection: 'line', ...parameters })
  return { page: await browser.open(attempt.url), attempt }
}

/** At LINE: answer the consent screen, and before it, where it asks, say who one is. */
async function answerLine(browser: Browser, page: Page): Promise<Page> {
  const consent = page.html.includes('/login"') ? await browser.submit(page, '/login', { person }) : page
  return browser.submit(consent, '/consent', { decision: 'allow', email: 'on' })
}

const strayAnswer = () => `${server.issuer}/connections/line/callback?code=stray&state=of-another-browser`
const stepOf = ({ url }: Page) => url.pathname.replace(/\/(interaction|link)\/[\w-]+/, '/$1')

test('auto login that works brings the code without a page to sign in on', async () => {
  const browser = visitor()
  const { page, attempt } = await goToLine(browser)
  expect(page.url.origin).toBe(line.url)
  expect(page.url.searchParams.has('disable_auto_login')).toBe(false)
  expect(page.html).not.toContain('/login"')
  const answer = await answerLine(browser, page)
  expect((await redeem(party, answer.url, attempt)).claims()?.sub).toBe(memberId)
})

test('a relying party that asks for a fresh proof gets one: LINE asks who it is', async () => {
  const { page } = await goToLine(visitor(), { prompt: 'login' })
  expect(page.html).toContain('/login"')
})

test.each(['once', 'always'] as const)(
  'an auto login that fails %s is tried anew without it, which brings the code',
  async (autoLoginFailure) => {
    line.control.configure({ autoLoginFailure })
    const browser = visitor()
    const { page, attempt } = await goToLine(browser)
    expect(page.url.origin).toBe(line.url)
    expect(page.url.searchParams.get('disable_auto_login')).toBe('true')
    const answer = await answerLine(browser, page)
    expect((await redeem(party, answer.url, attempt)).claims()?.sub).toBe(memberId)
  },
)

test('a second failure shows what to do, and from there every way in, without LINE by itself', async () => {
  line.control.configure({ autoLoginFailure: 'always' })
  const browser = visitor()
  const { attempt } = await goToLine(browser)
  const restart = await browser.open(strayAnswer())
  expect([restart.status, restart.html.includes('The browser changed on the way')]).toEqual([400, true])
  const retry = /href="(\/interaction\/[^"]+)"/.exec(restart.html)?.[1] ?? ''
  const page = await browser.open(server.issuer + retry)
  expect(stepOf(page)).toBe('/interaction/sign-in')
  const again = await browser.submit(page, '/connections/line')
  line.control.signInToApp()
  const answer = await answerLine(browser, await browser.open(again.url))
  expect((await redeem(party, answer.url, attempt)).claims()?.sub).toBe(memberId)
})

test('an answer in another browser signs nobody in there and leads back to the relying party', async () => {
  const browser = visitor()
  const { page, attempt } = await goToLine(browser)
  const callback = await catchCallback(server, browser, 'line', () => answerLine(browser, page))

  const elsewhere = visitor()
  const restart = await elsewhere.open(callback)
  expect(restart.status).toBe(400)
  expect(restart.html).toContain('href="https://shop.example.com/"')
  expect(restart.html).toContain(`Back to Shop ${party.id}`)
  elsewhere.stopAt(party.redirectUri)
  const silent = await elsewhere.open((await begin(party, { prompt: 'none' })).url)
  expect(silent.url.searchParams.get('error')).toBe('login_required')

  browser.stopAt(party.redirectUri)
  const answer = await browser.open(callback)
  expect((await redeem(party, answer.url, attempt)).claims()?.sub).toBe(memberId)
})

test('an answer that nobody waits for names no relying party', async () => {
  const { html } = await visitor().open(strayAnswer())
  expect(html).toContain('Start over')
  expect(html).not.toContain('shop.example.com')
})
