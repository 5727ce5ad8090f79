import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import { createState } from '../../src/demo/line/state.ts'
import {
  authorizeUrl,
  botChannelId,
  callbackUrl,
  exchange,
  logIn,
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

describe('LINE login methods', () => {
  const phone = { 'user-agent': 'Mozilla/5.0 (iPhone) Safari Line/15.12.0' }

  test('a wrong password is told and lets the person try again', async () => {
    const browser = openLineBrowser(line.url, { 'accept-language': 'en' })
    const login = await browser.open(authorizeUrl(line))
    const fields = { email: 'line-person-a@example.com', password: 'wrong' }
    const again = await browser.submit(login, '/login', fields)
    expect(again.html).toContain('The e-mail address or the password is not correct.')
    const consent = await browser.submit(again, '/login', { ...fields, password: 'password' })
    expect(consent.html).toContain('Allow Login channel A?')
  })

  test('a login is not continued in another browser', async () => {
    const login = await openLineBrowser(line.url).open(authorizeUrl(line))
    const page = await openLineBrowser(line.url).submit(login, '/login', { person: 'person-a' })
    expect(page.status).toBe(400)
  })

  test('SSO offers the person of this browser, until prompt=login or max_age asks for more', async () => {
    const browser = openLineBrowser(line.url, { 'accept-language': 'en' })
    await logIn(line, { browser })
    const sso = await browser.open(authorizeUrl(line))
    expect(sso.html).toContain('Continue as LINE Person A')
    const callback = new URL((await browser.submit(sso, '/login?method=sso')).url)
    expect(await amrOf(callback)).toEqual(['linesso'])

    expect((await browser.open(authorizeUrl(line, { prompt: 'login' }))).html).toContain('type="password"')
    line.simulator.state.clockOffsetMs += 61_000
    expect((await browser.open(authorizeUrl(line, { max_age: '60' }))).html).toContain('type="password"')
  })

  test('the language follows ui_locales, then the browser, then Japanese', async () => {
    const english = openLineBrowser(line.url, { 'accept-language': 'en-US,en' })
    const langOf = (html: string) => /<html lang="(\w+)"/.exec(html)?.[1]
    expect(langOf((await english.open(authorizeUrl(line, { ui_locales: 'fr ja-JP en' }))).html)).toBe('ja')
    expect(langOf((await english.open(authorizeUrl(line))).html)).toBe('en')
    expect(langOf((await openLineBrowser(line.url).open(authorizeUrl(line))).html)).toBe('ja')
  })

  test('QR login comes first when asked for, and hides the other when told to', async () => {
    const browser = openLineBrowser(line.url)
    const params = { initial_amr_display: 'lineqr', switch_amr: 'false' }
    const page = await browser.open(authorizeUrl(line, params))
    expect(page.html).not.toContain('method=password')
    const consent = await browser.submit(page, '/login?method=qr', { person: 'person-c' })
    const callback = await browser.submit(consent, '/consent', { decision: 'allow' })
    expect(await amrOf(new URL(callback.url))).toEqual(['lineqr'])
  })

  test('two-factor authentication adds mfa once, and then trusts the browser', async () => {
    loginChannelOf(line).requireTwoFactor = true
    const browser = openLineBrowser(line.url)
    const login = await browser.open(authorizeUrl(line))
    const pin = await browser.submit(login, '/login', { person: 'person-a' })
    const consent = await browser.submit(pin, '/two-factor')
    const callback = await browser.submit(consent, '/consent', { decision: 'allow' })
    expect(await amrOf(new URL(callback.url))).toEqual(['pwd', 'mfa'])
    expect(await amrOf(await logIn(line, { browser, params: { prompt: 'login' } }))).toEqual(['pwd'])
  })

  test('auto login needs no screen once consent was given, and obeys disable_auto_login', async () => {
    line.simulator.state.settings.appPersonId = 'person-a'
    const browser = openLineBrowser(line.url, phone)
    expect(await errorOf({ prompt: 'none' })).toMatchObject({ error: 'LOGIN_REQUIRED' })
    const consent = await browser.open(authorizeUrl(line))
    await browser.submit(consent, '/consent', { decision: 'allow' })

    expect(await amrOf(new URL((await browser.open(authorizeUrl(line, { prompt: 'none' }))).url))).toEqual([
      'lineautologin',
    ])
    expect((await browser.open(authorizeUrl(line, { disable_auto_login: 'true' }))).html).toContain(
      'type="password"',
    )
    expect((await openLineBrowser(line.url).open(authorizeUrl(line))).html).toContain('type="password"')
  })

  test('prompt=none is refused with INTERACTION_REQUIRED where consent is missing', async () => {
    Object.assign(line.simulator.state.settings, { appPersonId: 'person-a', autoLogin: 'any' })
    expect(await errorOf({ prompt: 'none' })).toMatchObject({ error: 'INTERACTION_REQUIRED' })
  })

  test('a failed auto login returns a code that is never valid and a foreign state, once', async () => {
    Object.assign(line.simulator.state.settings, {
      appPersonId: 'person-a',
      autoLogin: 'any',
      autoLoginFailure: 'once',
    })
    const page = await openLineBrowser(line.url).open(authorizeUrl(line))
    const { code = '', state, ...rest } = Object.fromEntries(new URL(page.url).searchParams)
    expect(code).toMatch(/^\w{20}$/)
    expect(state).toMatch(/^\w{32}$/)
    expect(rest).toEqual({})
    expect((await exchange(line, code)).body).toMatchObject({ error: 'invalid_grant' })
    expect((await openLineBrowser(line.url).open(authorizeUrl(line))).html).toContain('/consent"')
  })

  async function amrOf(callback: URL): Promise<unknown> {
    const { body } = await exchange(line, callback.searchParams.get('code') ?? '')
    return decodeJwt(String(body.id_token)).amr
  }
})

describe('LINE consent', () => {
  const params = { scope: 'openid profile email' }

  test('is asked once, again for what is new, and always with prompt=consent', async () => {
    const browser = openLineBrowser(line.url)
    await logIn(line, { browser })
    const second = async (extra: Record<string, string>) => {
      const sso = await browser.open(authorizeUrl(line, extra))
      return browser.submit(sso, '/login?method=sso')
    }
    expect(new URL((await second({})).url).searchParams.has('code')).toBe(true)
    expect((await second(params)).html).toContain('name="email"')
    expect((await second({ prompt: 'consent' })).html).toContain('/consent"')
  })

  test('e-mail can be declined alone, and is then not asked for at once', async () => {
    const browser = openLineBrowser(line.url)
    const first = await exchange(
      line,
      (await logIn(line, { browser, params })).searchParams.get('code') ?? '',
    )
    expect(first.body.scope).toBe('openid profile')
    expect(decodeJwt(String(first.body.id_token))).not.toHaveProperty('email')
    const sso = await browser.open(authorizeUrl(line, params))
    expect(new URL((await browser.submit(sso, '/login?method=sso')).url).searchParams.has('code')).toBe(true)
  })

  test.each([
    ['the person has no address', 'person-c', true],
    ['the channel has no permission', 'person-a', false],
  ])('e-mail is not asked for where %s', async (_, person, emailPermission) => {
    loginChannelOf(line).emailPermission = emailPermission
    const browser = openLineBrowser(line.url)
    const page = await browser.submit(await browser.open(authorizeUrl(line, params)), '/login', { person })
    expect(page.html).toContain('/consent"')
    expect(page.html).not.toContain('name="email"')
  })
})

describe('LINE bot_prompt', () => {
  const relation = () => line.simulator.state.relations[`${botChannelId}:person-a`]
  const changed = (callback: URL) => callback.searchParams.get('friendship_status_changed')

  test('is silent for friends and for channels without an official account', async () => {
    line.simulator.state.relations[`${botChannelId}:person-a`] = 'friend'
    expect(changed(await logIn(line, { params: { bot_prompt: 'normal' } }))).toBeNull()
    delete loginChannelOf(line).botChannelId
    expect(
      changed(await logIn(line, { params: { bot_prompt: 'aggressive' }, person: 'person-b' })),
    ).toBeNull()
  })

  test.each([
    [{ add_friend: 'on' }, 'true', 'friend'],
    [{}, 'false', undefined],
  ])('normal asks on the consent screen: %o', async (consent, expected, after) => {
    expect(changed(await logIn(line, { params: { bot_prompt: 'normal' }, consent }))).toBe(expected)
    expect(relation()).toBe(after)
  })

  test('aggressive asks on a screen of its own, and offers to unblock', async () => {
    line.simulator.state.relations[`${botChannelId}:person-a`] = 'blocked'
    const browser = openLineBrowser(line.url, { 'accept-language': 'en' })
    const login = await browser.open(authorizeUrl(line, { bot_prompt: 'aggressive' }))
    const consent = await browser.submit(login, '/login', { person: 'person-a' })
    const friend = await browser.submit(consent, '/consent', { decision: 'allow' })
    expect(friend.html).toContain('Unblock Official account A')
    expect(changed(new URL((await browser.submit(friend, '/friend', { add_friend: 'on' })).url))).toBe('true')
    expect(relation()).toBe('friend')
  })
})
