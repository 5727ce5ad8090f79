import * as oidc from 'openid-client'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { endSessions } from '../../src/members/member.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser, type Page } from '../support/browser.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { type Answer, post, send } from '../support/post.ts'
import { relyingParty } from '../support/relying-party.ts'

const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code'

let server: TestApp
let client: GivenClient
let member: GivenMember
beforeAll(async () => {
  server = await startTestApp({ inProcessStore: true, env: { TRUST_PROXY: '1' } })
  client = await givenClient(server, { profile: 'device', name: { ja: '居間テレビ', en: 'Living room TV' } })
  member = await givenMember(server)
})
afterAll(() => server.close())
afterEach(() => void vi.useRealTimers())

/** The engine reads the system's clock. */
function pass(seconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], shouldAdvanceTime: true, now: Date.now() + seconds * 1000 })
}

interface Waiting {
  deviceCode: string
  userCode: string
  answer: Answer
}

/** A device that has asked and shows its code. */
async function givenDevice(form: Record<string, string> = {}, of = client): Promise<Waiting> {
  const all = { scope: 'openid offline_access', ...form }
  const answer = await post(server, '/device-authorization', all, { client: of })
  return {
    deviceCode: String(answer.json.device_code),
    userCode: String(answer.json.user_code),
    answer,
  }
}

const poll = ({ deviceCode }: Waiting, { of = client, origin = server.issuer } = {}) =>
  post(server, '/token', { grant_type: deviceCodeGrant, device_code: deviceCode }, { client: of, origin })

/** Each person has an address of their own: guesses are counted by it. */
let people = 0
const somebody = (language = 'en') => openBrowser(language, `203.0.113.${(people++ % 200) + 1}`)

const enter = (browser: Browser, userCode: string) =>
  browser.open(`${server.issuer}/device?${new URLSearchParams({ user_code: userCode })}`)

/** Signs in and agrees, wherever that is asked, up to the page that ends it. */
async function finish(browser: Browser, from: Page, as = member): Promise<Page> {
  let page = from
  for (let steps = 0; page.url.pathname.startsWith('/interaction/') && steps < 3; steps += 1) {
    page = page.url.pathname.endsWith('/consent')
      ? await browser.submit(page, '/consent')
      : await browser.submit(page, '/sign-in', { email: as.email, password: as.password })
  }
  return page
}

async function connect(waiting: Waiting, browser = somebody(), as = member): Promise<Page> {
  const page = await enter(browser, waiting.userCode)
  return finish(browser, await browser.submit(page, '/device'), as)
}

const userinfo = async (token: unknown) =>
  (await send(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })).status

describe('RFC 8628 section 3.1: who may ask for a device code', () => {
  test('a client that is no device is refused', async () => {
    const { answer } = await givenDevice({}, await givenClient(server))
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_request'])
  })

  test('a confidential client without its secret is refused', async () => {
    const kiosk = await givenClient(server, { profile: 'device', authMethod: 'client_secret_basic' })
    const { answer } = await givenDevice({}, { ...kiosk, secret: 'wrong' })
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
  })

  test('section 3.2: the answer says where to go, with which code, for how long, and how often to ask', async () => {
    const { answer, userCode } = await givenDevice()
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json).toEqual({
      device_code: expect.stringMatching(/^[\w.-]{43,}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${server.issuer}/device`,
      verification_uri_complete: `${server.issuer}/device?user_code=${userCode}`,
      expires_in: 600,
      interval: 5,
    })
  })
})

describe('RFC 8628 section 3.5: what a device is told while it waits', () => {
  test('authorization_pending at first, slow_down when it asks too soon, at whichever process', async () => {
    const waiting = await givenDevice()
    const peer = await server.startPeer()
    expect((await poll(waiting)).json.error).toBe('authorization_pending')
    const hasty = await poll(waiting, { origin: peer.origin })
    await peer.close()
    expect([hasty.status, hasty.json.error]).toEqual([400, 'slow_down'])
    pass(5)
    expect((await poll(waiting)).json.error).toBe('authorization_pending')
    expect((await poll(await givenDevice())).json.error).toBe('authorization_pending')
  })

  test('a code nobody gave, and a code of another client, are invalid_grant', async () => {
    const waiting = await givenDevice()
    expect((await poll({ ...waiting, deviceCode: 'made-up' })).json.error).toBe('invalid_grant')
    const other = await givenClient(server, { profile: 'device' })
    expect((await poll(waiting, { of: other })).json.error).toBe('invalid_grant')
  })

  test('expired_token after ten minutes; its user code is over as well', async () => {
    const waiting = await givenDevice()
    pass(601)
    expect((await poll(waiting)).json.error).toBe('expired_token')
    const page = await enter(somebody(), waiting.userCode)
    expect(page.status).toBe(400)
    expect(page.html).toContain('This code has expired')
  })

  test('access_denied once the member has refused it', async () => {
    const waiting = await givenDevice()
    const browser = somebody()
    const refused = await browser.submit(await enter(browser, waiting.userCode), '/device', {
      confirm: '',
      abort: 'yes',
    })
    expect(refused.html).toContain('The device was refused')
    expect((await poll(waiting)).json.error).toBe('access_denied')
    expect((await enter(somebody(), waiting.userCode)).html).toContain('This code has been used already')
  })

  test('access_denied as well when the member turns back at the sign-in', async () => {
    const waiting = await givenDevice()
    const browser = somebody()
    const page = await browser.submit(await enter(browser, waiting.userCode), '/device')
    expect((await browser.submit(page, '/cancel')).html).toContain('The device was refused')
    expect((await poll(waiting)).json.error).toBe('access_denied')
  })
})

describe('RFC 8628 section 3.3: the member', () => {
  test('a form that was not sent by our page connects nothing', async () => {
    const waiting = await givenDevice()
    const browser = somebody()
    const page = await enter(browser, waiting.userCode)
    expect((await browser.submit(page, '/device', { xsrf: 'forged' })).status).toBe(400)
    expect((await poll(waiting)).json.error).toBe('authorization_pending')
  })

  test('without a code, or with a wrong one, is told so and can try again', async () => {
    const browser = somebody()
    const empty = await browser.open(`${server.issuer}/device`)
    expect([empty.status, empty.html.includes('name="user_code"')]).toEqual([200, true])
    const wrong = await enter(browser, 'BBBB-BBBB"><b>')
    expect(wrong.status).toBe(400)
    expect(wrong.html).toContain('No device waits with this code')
    expect(wrong.html).not.toContain('<b>')
  })

  test('section 5.1: who tries many codes is stopped; others go on', async () => {
    const guesser = openBrowser('en', '198.51.100.7')
    let page = await enter(guesser, 'CCCCCCCC')
    for (let tries = 1; tries < 60; tries += 1) {
      expect(page.status).toBe(400)
      page = await enter(guesser, `DDDDDDD${'BCDFG'[tries % 5]}`)
    }
    const { userCode } = await givenDevice()
    const stopped = await enter(guesser, userCode)
    expect([stopped.status, Number(stopped.headers.get('retry-after')) > 0]).toEqual([429, true])
    expect((await enter(somebody(), userCode)).status).toBe(200)
  })

  test('section 5.1: a guess in the form on which a code is agreed to counts as well', async () => {
    const guesser = openBrowser('en', '198.51.100.8')
    const { userCode } = await givenDevice()
    for (let tries = 0; tries < 30; tries += 1) {
      const page = await enter(guesser, userCode)
      const wrong = await guesser.submit(page, '/device', { user_code: 'CCCCCCCC' })
      expect([page.status, wrong.status]).toEqual([200, 400])
    }
    expect((await enter(guesser, userCode)).status).toBe(429)
  })

  test('section 5.1: guesses from many places are stopped together', async () => {
    const { userCode } = await givenDevice()
    for (let guesses = 0; guesses < 6_000; guesses += 1)
      await server.store.increment('rate:user-code:all', 600)
    onTestFinished(() => server.store.delete('rate:user-code:all'))
    expect((await enter(somebody(), userCode)).status).toBe(429)
  })

  test.each([
    ['in small letters', (code: string) => code.toLowerCase()],
    ['without the hyphen', (code: string) => code.replace('-', '')],
    ['with spaces', (code: string) => ` ${code.replace('-', '  ')} `],
    [
      'full-width, as a Japanese keyboard types it',
      (code: string) =>
        code.replace(/[A-Z]/g, (it) => String.fromCharCode(it.charCodeAt(0) + 0xfee0)).replace('-', '－'),
    ],
  ])('section 6.1: a code typed %s is the same code', async (_, type) => {
    const { userCode } = await givenDevice()
    const page = await enter(somebody(), type(userCode))
    expect([page.status, page.html.includes(userCode)]).toEqual([200, true])
  })

  test('section 5.4: is shown who asks, from where, and the code to compare, without a script', async () => {
    const { userCode } = await givenDevice()
    const page = await enter(somebody(), userCode)
    expect(page.html).toContain('Living room TV')
    expect(page.html).toContain('Did somebody send you this code or link?')
    expect(page.html).toContain('Another network than yours')
    expect(page.html).toContain(`>${userCode}</p>`)
    expect(page.html).not.toContain('<script')
    expect(page.headers.get('content-security-policy')).not.toContain('sha256')
    const japanese = await enter(somebody('ja'), userCode)
    expect(japanese.html).toContain('居間テレビ')
  })

  test('of two who agree to one code at once, at two processes, one goes on', async () => {
    const waiting = await givenDevice()
    const peer = await server.startPeer()
    const browsers = [somebody(), somebody()]
    const pages = await Promise.all(browsers.map((browser) => enter(browser, waiting.userCode)))
    const answers = await Promise.all(
      browsers.map((browser, i) => {
        const xsrf = /name="xsrf" value="(\w+)"/.exec(pages[i]?.html ?? '')?.[1] ?? ''
        return send(new URL('/device', i === 0 ? server.issuer : peer.origin), {
          method: 'POST',
          headers: {
            host: new URL(server.issuer).host,
            cookie: [...browser.cookies()].map((pair) => pair.join('=')).join('; '),
            'content-type': 'application/x-www-form-urlencoded',
            accept: 'text/html',
          },
          body: `${new URLSearchParams({ xsrf, user_code: waiting.userCode, confirm: 'yes' })}`,
        })
      }),
    )
    await peer.close()
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 400])
  })

  test('of two who took the code for a new one at the same moment, one has it', async () => {
    const { userCode } = await givenDevice()
    const { DeviceCode } = server.app.engine.provider()
    const take = async () => {
      const code = await DeviceCode.findByUserCode(userCode.replace('-', ''))
      if (!code) throw new Error('there is no such code')
      return () => Object.assign(code, { inFlight: true }).save()
    }
    const [first, second] = [await take(), await take()]
    await first()
    await expect(second()).rejects.toMatchObject({ name: 'AlreadyUsedError' })
  })

  test('a code that was used cannot be used again', async () => {
    const waiting = await givenDevice()
    expect((await connect(waiting)).html).toContain('The device is connected')
    const late = await enter(somebody(), waiting.userCode)
    expect(late.html).toContain('This code has been used already')
    const tokens = await poll(waiting)
    expect(tokens.status).toBe(200)
    expect((await enter(somebody(), waiting.userCode)).html).toContain('This code has been used already')
  })
})

describe('RFC 8628 section 3.5: the tokens', () => {
  test('of ten who redeem one device code at once, at two processes, one gets tokens', async () => {
    const peer = await server.startPeer()
    const waiting = await givenDevice()
    await connect(waiting)
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => poll(waiting, { origin: i % 2 ? peer.origin : server.issuer })),
    )
    await peer.close()
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ json }) => json.error === 'invalid_grant')).toHaveLength(9)
  })

  test.each(['openid', 'openid offline_access'])(
    'for %s outlive the browser session that gave them',
    async (scope) => {
      const of = await givenClient(server, { profile: 'device' })
      const waiting = await givenDevice({ scope }, of)
      const browser = somebody()
      await connect(waiting, browser, await givenMember(server))
      const { json } = await poll(waiting, { of })
      const signOut = await browser.open(`${server.issuer}/sign-out`)
      await browser.submit(signOut, '/sign-out/confirm', { logout: 'yes' })
      expect(await userinfo(json.access_token)).toBe(200)
      expect(typeof json.refresh_token).toBe(scope === 'openid' ? 'undefined' : 'string')
    },
  )

  test('end when the member ends all sessions', async () => {
    const as = await givenMember(server)
    const waiting = await givenDevice()
    await connect(waiting, somebody(), as)
    const { json } = await poll(waiting)
    await endSessions(server.db, as.id, 'member', new Date(server.now().getTime() + 1000))
    expect(await userinfo(json.access_token)).toBe(401)
    const form = { grant_type: 'refresh_token', refresh_token: String(json.refresh_token) }
    expect((await post(server, '/token', form, { client })).json.error).toBe('invalid_grant')
  })

  test('say when the member signed in, not when the device asked (RFC 9470 section 6.2)', async () => {
    const kiosk = await givenClient(server, { profile: 'device', authMethod: 'client_secret_basic' })
    const waiting = await givenDevice({}, kiosk)
    await connect(waiting)
    const signedIn = Math.floor(Date.now() / 1000)
    pass(30)
    const token = String((await poll(waiting, { of: kiosk })).json.access_token)
    const { json } = await post(server, '/introspect', { token }, { client: kiosk })
    expect(json.active).toBe(true)
    expect(json.auth_time).toBeLessThanOrEqual(signedIn)
  })

  test('are the member’s: a certified client gets them, and refreshes', async () => {
    const { config } = await relyingParty(server, client)
    const begun = await oidc.initiateDeviceAuthorization(config, { scope: 'openid offline_access' })
    await connect({ deviceCode: begun.device_code, userCode: begun.user_code, answer: {} as Answer })
    const tokens = await oidc.pollDeviceAuthorizationGrant(config, { ...begun, interval: 0.1 })
    expect(tokens.claims()).toMatchObject({ sub: member.id, aud: client.id, iss: server.issuer })
    expect((await oidc.fetchUserInfo(config, tokens.access_token, member.id)).sub).toBe(member.id)
    const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '')
    expect(fresh.access_token).not.toBe(tokens.access_token)
  })
})
