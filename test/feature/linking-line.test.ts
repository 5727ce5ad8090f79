import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { userIdOf } from '../../src/demo/line/simulator.ts'
import type { Browser, Page } from '../support/browser.ts'
import { givenMember } from '../support/given.ts'
import { botChannelId, loginChannelOf } from '../support/line-simulator.ts'
import { changesOf, pressLink, signInTo, visitor } from '../support/linking.ts'
import { givenLine, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let line: LineSimulator
beforeAll(async () => {
  server = await startLinkingApp()
  line = await givenLine(server)
})
afterAll(async () => {
  await Promise.all([server.close(), line.close()])
})

let person: string
let count = 0
beforeEach(() => {
  person = `person-${++count}`
  const email = `${person}@line.example`
  line.control.putPerson({
    id: person,
    name: `LINE 花子 ${count}`,
    email,
    password: 'password',
    picture: true,
    language: 'ja',
    profileConsent: true,
  })
  line.control.clearFailures()
  line.control.signInToApp(undefined, 'mobile')
})

/** At LINE: choose the person, then answer its consent screen. */
async function answerLine(browser: Browser, page: Page, answer: Record<string, string>): Promise<Page> {
  const consent = await browser.submit(page, '/login', { person })
  return browser.submit(consent, '/consent', answer)
}

const allow = { decision: 'allow', email: 'on' }
const onFirstCall = {
  remaining: 1,
  status: 500,
  moment: 'before',
  delayMs: 0,
  resetConnection: false,
} as const
const linkPage = /^\/link\/[\w-]+$/
const nothing = { rows: {}, events: [] }

test('the button leads to LINE by one redirect, with everything the request should have', async () => {
  const browser = await signInTo(server, await givenMember(server))
  const account = await browser.open(`${server.issuer}/account`)
  const action = /action="([^"]*\/connections\/line\/link)"/.exec(account.html)?.[1] ?? ''
  const _csrf = /name="_csrf" value="([^"]+)"/.exec(account.html)?.[1] ?? ''
  const begun = await browser.request(new URL(action, server.issuer), {
    method: 'POST',
    body: new URLSearchParams({ _csrf }),
  })
  const hop = await browser.request(new URL(begun.headers.get('location') ?? '', server.issuer))
  expect([begun.status, hop.status]).toEqual([303, 303])
  const url = new URL(hop.headers.get('location') ?? '')
  expect(url.origin + url.pathname).toBe(`${line.url}/oauth2/v2.1/authorize`)
  expect(Object.fromEntries(url.searchParams)).toEqual({
    response_type: 'code',
    client_id: loginChannelOf(line).id,
    redirect_uri: `${server.issuer}/connections/line/callback`,
    scope: 'openid profile email',
    state: expect.stringMatching(/^[\w-]{43}$/),
    nonce: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge: expect.stringMatching(/^[\w-]{43}$/),
    code_challenge_method: 'S256',
    bot_prompt: 'normal',
    ui_locales: 'en',
  })
})

test.each(['ja', 'en'])('LINE is asked to speak the language of our page, %s', async (language) => {
  const browser = await signInTo(server, await givenMember(server), visitor(language))
  const page = await pressLink(server, browser, 'line')
  expect(page.url.origin).toBe(line.url)
  expect(page.html).toContain(`<html lang="${language}"`)
})

describe('nothing is linked', () => {
  test('when the member cancels at LINE, which says so in upper case', async () => {
    const member = await givenMember(server)
    const browser = await signInTo(server, member)
    const { result, ...changes } = await changesOf(server, async () =>
      answerLine(browser, await pressLink(server, browser, 'line'), { decision: 'cancel' }),
    )
    expect(result.html).toContain('You did not link LINE.')
    const data = { connectionId: 'line', way: 'account_page' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.declined', memberId: member.id, data }] })
  })

  test.each(['/oauth2/v2.1/token', '/oauth2/v2.1/userinfo'])(
    'when %s answers 500, and the next try works',
    async (pathPrefix) => {
      const browser = await signInTo(server, await givenMember(server))
      const declined = { decision: 'allow' }
      line.control.fail({ ...onFirstCall, pathPrefix })
      const { result, rows } = await changesOf(server, async () =>
        answerLine(browser, await pressLink(server, browser, 'line'), declined),
      )
      expect(result.html).toContain('We could not link LINE.')
      expect(rows).toEqual({})
      const again = await pressLink(server, browser, 'line')
      expect((await browser.submit(again, '/login?method=sso')).url.pathname).toMatch(linkPage)
    },
  )
})

test('a member links LINE and sees which account it is', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  const page = await answerLine(browser, await pressLink(server, browser, 'line'), allow)
  expect(page.url.pathname).toMatch(linkPage)
  expect(page.html).toContain(`LINE 花子 ${count}`)
  const changes = await changesOf(server, () => browser.submit(page, '/agree'))
  expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  expect(identity).toMatchObject({
    issuer: line.url,
    subject: userIdOf('provider-a', person),
    profile: { name: `LINE 花子 ${count}`, email: `${person}@line.example` },
  })
  expect(changes.result.html).toContain('LINE is now linked.')
})

test('the box on the consent screen adds the official account as a friend', async () => {
  const browser = await signInTo(server, await givenMember(server))
  const page = await pressLink(server, browser, 'line')
  await answerLine(browser, page, { ...allow, add_friend: 'on' })
  expect(line.simulator.state.relations[`${botChannelId}:${person}`]).toBe('friend')
})

test('without its e-mail, LINE is received without one', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  const page = await pressLink(server, browser, 'line')
  const link = await answerLine(browser, page, { decision: 'allow' })
  await browser.submit(link, '/agree')
  const { shown } = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  expect(shown).toMatchObject({ received: ['subject', 'name'] })
})

test("LINE's address is never taken for proved: it only asks its member to sign in", async () => {
  const member = await givenMember(server, { email: `${person}@line.example` })
  const browser = visitor()
  const form = await browser.open(`${server.issuer}/account`)
  const { result, ...changes } = await changesOf(server, async () =>
    answerLine(browser, await browser.submit(form, '/connections/line'), allow),
  )
  expect(result.url.pathname).toMatch(/sign-in$/)
  expect(result.html).toContain('There is already an account with the email address')
  expect(changes).toEqual(nothing)
  expect(await server.db.federatedIdentity.count({ where: { memberId: member.id } })).toBe(0)
})

test('LINE signs a linked member in, over and over', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  const page = await answerLine(browser, await pressLink(server, browser, 'line'), allow)
  await browser.submit(page, '/agree')
  for (let round = 0; round < 2; round += 1) {
    const other = visitor()
    const form = await other.open(`${server.issuer}/account`)
    const login = await other.submit(form, '/connections/line')
    const account = await other.submit(login, '/login', { person })
    expect(account.url.pathname).toBe('/account')
    expect(account.html).toContain(member.id)
  }
})

test('a fresh proof through LINE is a new login there, not a session that was left open', async () => {
  const member = await givenMember(server)
  const browser = await signInTo(server, member)
  const page = await answerLine(browser, await pressLink(server, browser, 'line'), allow)
  await browser.submit(page, '/agree')
  server.advance(601)
  const again = await browser.open(`${server.issuer}/account/connections/line/unlink`)
  browser.stopAt(line.url)
  const { url } = await browser.submit(again, '/connections/line')
  expect(url.searchParams.get('prompt')).toBe('login')
  expect(url.searchParams.get('max_age')).toBe('0')
  browser.stopAt(undefined)
  const login = await browser.open(url)
  expect(login.html).toContain('name="password"')
  const unlink = await browser.submit(login, '/login', { person })
  expect(unlink.url.pathname).toBe('/account/connections/line/unlink')
})

describe('automatic login that comes back in another browser', () => {
  beforeEach(() => {
    line.control.signInToApp(person, 'any')
    line.control.planConsent(person, { allow: true, email: true, addFriend: false })
  })

  test('is tried once more without it, and the foreign code is never sent anywhere', async () => {
    const browser = await signInTo(server, await givenMember(server))
    line.control.configure({ autoLoginFailure: 'once' })
    line.control.fail({ ...onFirstCall, pathPrefix: '/oauth2/v2.1/token' })
    const { result, ...changes } = await changesOf(server, () => pressLink(server, browser, 'line'))
    expect(result.url.origin).toBe(line.url)
    expect(result.html).toContain('name="password"')
    expect(changes).toEqual(nothing)
    expect(line.simulator.state.failures[0]?.remaining).toBe(1)
    line.control.clearFailures()
    const page = await browser.submit(result, '/login', { person })
    expect(page.url.pathname).toMatch(linkPage)
  })

  test('ends on a page with a way on when it happens again', async () => {
    const browser = await signInTo(server, await givenMember(server))
    line.control.configure({ autoLoginFailure: 'always' })
    const login = await pressLink(server, browser, 'line')
    const { result, ...changes } = await changesOf(server, () => forgedCallback(browser))
    line.control.configure({ autoLoginFailure: 'off' })
    expect(login.url.origin).toBe(line.url)
    expect(result.status).toBe(400)
    expect(result.html).toContain('Try again in this browser')
    const data = { connectionId: 'line', reason: 'state_mismatch' }
    expect(changes).toEqual({ rows: {}, events: [{ type: 'link.refused', memberId: null, data }] })
  })

  test('offers to start over where nothing was begun', async () => {
    const { result, rows } = await changesOf(server, () => forgedCallback(visitor()))
    expect(result.status).toBe(400)
    expect(result.html).toContain('Start over')
    expect(result.html).not.toContain('Try again in this browser')
    expect(rows).toEqual({})
  })
})

function forgedCallback(browser: Browser): Promise<Page> {
  const query = `code=${'c'.repeat(20)}&state=${'d'.repeat(32)}`
  return browser.open(`${server.issuer}/connections/line/callback?${query}`)
}
