import { connect } from 'node:net'
import { Agent, buildConnector, getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { begin, type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

/** A member who has signed in at the relying party a while ago; sessions are told apart by whole seconds. */
async function givenSignedIn(member?: GivenMember, scope = 'openid') {
  const browser = openBrowser()
  server.advance(-60)
  const who = member ?? (await givenMember(server))
  const tokens = await signIn(party, browser, who, { scope }).finally(() => server.advance(60))
  return { member: who, browser, tokens }
}

/** What a relying party learns without a page: a code or an error. */
async function silently(browser: Browser): Promise<string | null> {
  browser.stopAt(party.redirectUri)
  const { searchParams } = (await browser.open((await begin(party, { prompt: 'none' })).url)).url
  return searchParams.has('code') ? 'code' : searchParams.get('error')
}

const accountPage = async (browser: Browser) => (await browser.open(`${server.issuer}/account`)).url.pathname

describe('account pages and relying parties share one session', () => {
  test('who signed in at a relying party opens the account without a password', async () => {
    const { browser, member } = await givenSignedIn()
    const page = await browser.open(`${server.issuer}/account`)
    expect(page.url.pathname).toBe('/account')
    expect(page.html).toContain(member.name)
  })

  test('who signed in at the account is asked by a relying party for consent alone', async () => {
    const { email, password } = await givenMember(server)
    const browser = openBrowser()
    const page = await browser.open(`${server.issuer}/account`)
    const account = await browser.submit(page, '/sign-in', { email, password })
    expect(account.url.pathname).toBe('/account')
    expect((await browser.open((await begin(party)).url)).url.pathname).toMatch(/\/consent$/)
  })

  test('there is one cookie of a session, whatever was visited', async () => {
    const { browser } = await givenSignedIn()
    await browser.open(`${server.issuer}/account`)
    await browser.open(`${server.issuer}/account/security`)
    await silently(browser)
    const names = [...browser.cookies().keys()].map((name) => name.replace(/\.sig$/, ''))
    expect([...new Set(names)].sort()).toEqual(['hitotsu_browser', 'hitotsu_interaction', 'hitotsu_session'])
  })

  test('signing out of the account signs out of the relying party', async () => {
    const { browser, tokens } = await givenSignedIn()
    const account = await browser.open(`${server.issuer}/account`)
    const page = await browser.submit(account, '/account/sign-out')
    const home = await browser.submit(page, '/sign-out/confirm', { logout: 'yes' })
    expect(home.url.href).toBe(`${server.issuer}/`)
    expect(await silently(browser)).toBe('login_required')
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
  })
})

describe('what ends a session', () => {
  test('signing out everywhere ends the sessions of all browsers, and their tokens, however new', async () => {
    const { browser, member, tokens } = await givenSignedIn(undefined, 'openid offline_access')
    const other = (await givenSignedIn(member)).browser
    const security = await browser.open(`${server.issuer}/account/security`)
    await browser.submit(security, '/account/sign-out-everywhere')
    for (const each of [browser, other]) {
      expect(await accountPage(each)).toMatch(/\/sign-in$/)
      expect(await silently(each)).toBe('login_required')
    }
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' }
    expect((await post(server, '/token', form, { client: party })).json.error).toBe('invalid_grant')
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    expect((await send(`${server.issuer}/userinfo`, { headers })).status).toBe(401)
    const events = await server.db.event.findMany({ where: { memberId: member.id, type: 'sessions.ended' } })
    expect(events.map(({ data }) => data)).toEqual([{ reason: 'member' }])
  })

  test("signing out everywhere leaves other members' sessions alone", async () => {
    const { browser } = await givenSignedIn()
    const stranger = (await givenSignedIn()).browser
    const security = await browser.open(`${server.issuer}/account/security`)
    await browser.submit(security, '/account/sign-out-everywhere')
    expect(await accountPage(stranger)).toBe('/account')
    expect(await silently(stranger)).toBe('code')
  })

  test('a new password ends the sessions that began with the old one', async () => {
    const { browser, member } = await givenSignedIn()
    const other = (await givenSignedIn(member)).browser
    const security = await browser.open(`${server.issuer}/account/security`)
    const values = { currentPassword: member.password, newPassword: 'copper meadow window' }
    await browser.submit(security, '/account/password', values)
    expect(await accountPage(other)).toMatch(/\/sign-in$/)
    expect(await silently(other)).toBe('login_required')
  })

  test("a suspended member's session ends at once, and no new one begins", async () => {
    const { browser, member } = await givenSignedIn()
    const profile = await browser.open(`${server.issuer}/account/profile`)
    await server.db.member.update({ where: { id: member.id }, data: { status: 'suspended' } })
    expect((await browser.submit(profile, '/account/profile', { name: 'Changed' })).status).toBe(401)
    expect(await accountPage(browser)).toMatch(/\/sign-in$/)
    expect(await silently(browser)).toBe('login_required')

    const { email, password } = member
    const fresh = openBrowser()
    const answer = await fresh.submit(await fresh.open(`${server.issuer}/account`), '/sign-in', {
      email,
      password,
    })
    expect(answer.status).toBe(403)
    expect(await accountPage(fresh)).toMatch(/\/sign-in$/)
  })

  test('a session whose store entry is lost asks for the password, and nothing else is lost', async () => {
    const { browser, member } = await givenSignedIn()
    const id = browser.cookies().get('hitotsu_session')
    await server.store.delete(`oidc:{Session:${id}}`)
    const page = await browser.open(`${server.issuer}/account`)
    const { email, password } = member
    expect((await browser.submit(page, '/sign-in', { email, password })).url.pathname).toBe('/account')
    expect(await silently(browser)).toBe('code')
  })
})

describe('the session cookie', () => {
  test('a value somebody planted before the sign-in is worth nothing after it', async () => {
    const { email, password } = await givenMember(server)
    const browser = openBrowser()
    const page = await browser.open((await begin(party)).url)
    const before = [...browser.cookies()].map(([name, value]) => `${name}=${value}`).join('; ')
    await browser.submit(page, '/sign-in', { email, password })
    const answer = await send(`${server.issuer}/account`, { headers: { cookie: before } })
    expect(answer.headers.location).toContain('/authorize')
  })

  test.each([
    ['without its signature', (id: string) => `hitotsu_session=${id}`],
    ['with a signature of nobody', (id: string) => `hitotsu_session=${id}; hitotsu_session.sig=AAAA`],
    [
      'with the id of another',
      (_: string, sig: string) => `hitotsu_session=other; hitotsu_session.sig=${sig}`,
    ],
  ])('a cookie %s is no session', async (_, forge) => {
    const cookies = (await givenSignedIn()).browser.cookies()
    const [id = '', sig = ''] = [cookies.get('hitotsu_session'), cookies.get('hitotsu_session.sig')]
    const open = (cookie: string) => send(`${server.issuer}/account`, { headers: { cookie } })
    expect((await open(forge(id, sig))).status).toBe(303)
    expect((await open(`hitotsu_session=${id}; hitotsu_session.sig=${sig}`)).status).toBe(200)
  })

  test('no script reads a cookie and no other site sends one with a form', async () => {
    const lines = await cookiesOfASignIn(party)
    expect(lines.map(nameOf)).toEqual(expect.arrayContaining(['hitotsu_session', 'hitotsu_interaction']))
    for (const line of lines) expect(line).toMatch(/; samesite=lax; httponly/i)
  })

  test('with an https issuer every cookie is secure, and the lasting ones belong to this host alone', async () => {
    const secure = await startTestApp({ env: { ISSUER: 'https://id.example.com' } })
    const release = reach('id.example.com', Number(new URL(secure.issuer).port))
    try {
      const issuer = secure.config.ISSUER
      const lines = await cookiesOfASignIn(await relyingParty({ issuer }, await givenClient(secure)), secure)
      const names = lines.map(nameOf)
      expect(names).toEqual(expect.arrayContaining(['__Host-hitotsu_session', '__Host-hitotsu_browser']))
      for (const line of lines) expect(line).toMatch(/; secure(;|$)/i)
      // RFC 6265bis section 4.1.3.2: browsers drop a __Host- cookie that is not of the root or names a domain.
      for (const line of lines.filter((it) => it.startsWith('__Host-'))) {
        expect(line).toMatch(/; path=\/;/i)
        expect(line).not.toMatch(/domain=/i)
      }
    } finally {
      await release()
      await secure.close()
    }
  })
})

/** Every Set-Cookie line of a visit, a sign-in page and a session in use. */
async function cookiesOfASignIn(relying: RelyingParty, at = server): Promise<string[]> {
  const [browser, strangers] = [openBrowser(), openBrowser()]
  await signIn(relying, browser, await givenMember(at))
  const begun = await strangers.request((await begin(relying)).url)
  const dispatched = await strangers.request(
    new URL(begun.headers.get('location') ?? '', relying.config.serverMetadata().issuer),
  )
  const page = await strangers.request(new URL(dispatched.headers.get('location') ?? '', dispatched.url))
  const used = await browser.request((await begin(relying, { prompt: 'none' })).url)
  return [begun, dispatched, page, used].flatMap(({ headers }) => headers.getSetCookie())
}

const nameOf = (line: string) => line.split('=')[0]

/** Stands for the proxy that ends TLS: requests to `hostname` go in the clear to a port of this machine. */
function reach(hostname: string, port: number): () => Promise<void> {
  const before = getGlobalDispatcher()
  const usual = buildConnector({})
  const agent = new Agent({
    connect(options, callback) {
      if (options.hostname !== hostname) return usual(options, callback)
      const socket = connect(port, 'localhost', () => callback(null, socket))
      socket.once('error', (error) => callback(error, null))
    },
  })
  setGlobalDispatcher(agent)
  return async () => {
    setGlobalDispatcher(before)
    await agent.close()
  }
}
