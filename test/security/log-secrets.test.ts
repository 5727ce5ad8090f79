import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger } from '../../src/telemetry/logger.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { givenClient, givenMember } from '../support/given.ts'
import { catchCallback, linkThrough, pressLink } from '../support/linking.ts'
import { codeSentTo } from '../support/mailbox.ts'
import { post } from '../support/post.ts'
import { authorize, begin, redeem, relyingParty } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
/** Everything that passed through these flows and nobody who reads the log may learn: what it is -> what it was. */
const canaries = new Map<string, string>()
const password = 'canary violet lantern'
const newPassword = 'canary copper thimble'
const email = 'canary.person@example.com'

beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'upstream' })
  upstream.behavior.claims = { name: 'Canary At Upstream', email: 'canary.upstream@example.com' }
  remember({ password, newPassword, email, name: 'Canary Person', upstreamName: 'Canary At Upstream' })
  remember({ upstreamEmail: 'canary.upstream@example.com', wrongPassword: 'canary wrong password' })
  for (const [i, key] of [...server.config.SECRET_KEYS, ...server.config.COOKIE_KEYS].entries())
    remember({ [`key ${i}`]: key })

  const browser = openBrowser()
  await signUp(browser)
  await visitRelyingParty(browser)
  await link(browser)
  await misbehave(browser)
  await fail(openBrowser())
  await recover(openBrowser())
  await server.app.dispatcher.drain()
}, 120_000)
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

function remember(values: Record<string, string | undefined | null>): void {
  for (const [what, value] of Object.entries(values)) if (value) canaries.set(what, value)
}

function rememberCookies(browser: Browser, when: string): void {
  for (const [name, value] of browser.cookies()) remember({ [`cookie ${name} ${when}`]: value })
}

async function signUp(browser: Browser): Promise<void> {
  const form = await browser.open(`${server.issuer}/sign-up`)
  remember({
    formToken: /name="_csrf" value="([^"]+)"/.exec(form.html)?.[1],
    interaction: form.url.pathname.split('/')[2],
  })
  rememberCookies(browser, 'while signing up')
  const verify = await browser.submit(form, '/sign-up', { name: 'Canary Person', email, password })
  const code = await codeSentTo(server, email)
  remember({ code })
  await browser.submit(verify, '/verify-email', { code })
  rememberCookies(browser, 'as a member')
}

async function visitRelyingParty(browser: Browser): Promise<void> {
  const client = await givenClient(server)
  const party = await relyingParty(server, client)
  const attempt = await begin(party, { scope: 'openid profile email offline_access', login_hint: email })
  const callback = await authorize(party, browser, { email, password }, attempt.url)
  const tokens = await redeem(party, callback, attempt)
  const { state, nonce, codeVerifier } = attempt
  remember({
    clientSecret: client.secret,
    state,
    nonce,
    codeVerifier,
    authorizationCode: callback.searchParams.get('code'),
  })
  remember({ accessToken: tokens.access_token, refreshToken: tokens.refresh_token, idToken: tokens.id_token })
  await post(server, '/introspect', { token: tokens.access_token }, { client })
  const again = await post(
    server,
    '/token',
    { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' },
    { client },
  )
  remember({
    secondRefreshToken: String(again.json.refresh_token),
    secondAccessToken: String(again.json.access_token),
  })
  // A refresh token used twice, a wrong secret, a code used twice.
  await post(
    server,
    '/token',
    { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' },
    { client },
  )
  await post(
    server,
    '/token',
    { grant_type: 'authorization_code', code: callback.searchParams.get('code') ?? '' },
    { client },
  )
  const wrong = { ...client, secret: 'canary wrong client secret' }
  remember({ wrongClientSecret: wrong.secret })
  await post(
    server,
    '/token',
    { grant_type: 'refresh_token', refresh_token: 'canary-refresh' },
    { client: wrong },
  )
}

async function link(browser: Browser): Promise<void> {
  const callback = await catchCallback(server, browser, 'upstream')
  remember({
    upstreamState: callback.searchParams.get('state'),
    upstreamCode: callback.searchParams.get('code'),
  })
  const confirm = await browser.open(callback)
  remember({
    transaction: confirm.url.pathname.split('/')[2],
    shown: /name="shown" value="([^"]+)"/.exec(confirm.html)?.[1],
  })
  await browser.submit(confirm, '/decline')
  await linkThrough(server, browser, 'upstream')
  const account = await browser.open(`${server.issuer}/account/connections/upstream/unlink`)
  await browser.submit(account, '/unlink')
}

/** What an upstream does wrong is logged, and an error that is logged tends to bring along what it was about. */
async function misbehave(browser: Browser): Promise<void> {
  for (const claim of [
    { nonce: 'canary-nonce' },
    { aud: 'somebody-else' },
    { iss: 'https://evil.example' },
  ]) {
    upstream.behavior.wrong = { idToken: (parts) => ({ ...parts, claims: { ...parts.claims, ...claim } }) }
    await pressLink(server, browser, 'upstream')
  }
  upstream.behavior.wrong = {
    answers: { '/token': (response) => response.writeHead(400).end('canary-answer') },
  }
  remember({ wrongNonce: 'canary-nonce', answer: 'canary-answer' })
  await pressLink(server, browser, 'upstream')
  upstream.behavior.wrong = {}
  const callback = await catchCallback(server, browser, 'upstream')
  callback.searchParams.set('code', 'canary-code-of-nobody')
  remember({ madeUpCode: 'canary-code-of-nobody' })
  await browser.open(callback)
}

async function fail(browser: Browser): Promise<void> {
  const form = await browser.open(`${server.issuer}/account?token=canary-in-a-query`)
  remember({ query: 'canary-in-a-query' })
  await browser.submit(form, '/sign-in', { email, password: 'canary wrong password' })
  await browser.submit(form, '/sign-in', { email: 'canary.person@', password })
  await browser.submit(form, '/sign-in', { email, password, _csrf: 'canary-form-token' })
  remember({ wrongFormToken: 'canary-form-token' })
  await browser.request(`${server.issuer}/connections/upstream/callback?state=canary-state&code=canary-code`)
  remember({ strangeState: 'canary-state', strangeCode: 'canary-code' })
  const headers = { authorization: 'Bearer canary-access-token', cookie: 'hitotsu_session=canary-session' }
  await browser.request(`${server.issuer}/userinfo`, { headers })
  await browser.request(`${server.issuer}/nowhere/canary-path-segment-of-a-flow-in-progress`, { headers })
  remember({
    strangeToken: 'canary-access-token',
    strangeSession: 'canary-session',
    path: 'canary-path-segment-of-a-flow-in-progress',
  })
}

async function recover(browser: Browser): Promise<void> {
  const signIn = await browser.open(`${server.issuer}/account`)
  const forgot = await browser.open(new URL('forgot-password', signIn.url))
  const reset = await browser.submit(forgot, '/forgot-password', { email })
  const code = await codeSentTo(server, email)
  remember({ recoveryCode: code })
  await browser.submit(reset, '/reset-password', { code: '000000', password: newPassword })
  await browser.submit(reset, '/reset-password', { code, password: newPassword })
}

/** What holds a canary, except for those whose text is bound to turn up by chance, such as a language. */
function leaksIn(text: string): string[] {
  return [...canaries].filter(([, value]) => value.length >= 6 && text.includes(value)).map(([what]) => what)
}

test('the flows went where they were to go, and brought secrets of every kind', () => {
  expect([...canaries.keys()]).toEqual(
    expect.arrayContaining([
      'code',
      'recoveryCode',
      'formToken',
      'state',
      'authorizationCode',
      'refreshToken',
      'secondRefreshToken',
      'idToken',
      'clientSecret',
      'upstreamCode',
      'transaction',
      'cookie hitotsu_session as a member',
    ]),
  )
  expect(server.logged().split('\n').length).toBeGreaterThan(50)
  expect(server.logged()).toContain('upstream answer not usable')
  expect(canaries.get('recoveryCode')).not.toBe(canaries.get('code'))
})

test('none of it is in the log, and no token at all', () => {
  expect(leaksIn(server.logged())).toEqual([])
  expect(server.logged()).not.toMatch(/eyJ[\w-]{10,}\.[\w-]*\.?[\w-]*/)
})

test('nor in events, in what is kept of failed deliveries, or in the audit trail', async () => {
  const { db } = server
  const [events, deliveries, audit] = await Promise.all([
    db.event.findMany(),
    db.delivery.findMany(),
    db.auditEntry.findMany(),
  ])
  expect(audit.length).toBeGreaterThan(8)
  const text = JSON.stringify([events, deliveries, audit], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  expect(leaksIn(text)).toEqual([])
})

test('nor anywhere else in the database in clear, but for what a member said of themselves', async () => {
  const { db } = server
  const rows = [
    await db.passwordCredential.findMany(),
    await db.clientSecret.findMany(),
    await db.connection.findMany(),
    await db.refreshToken.findMany(),
    await db.grant.findMany(),
    await db.upstreamToken.findMany(),
    await db.signingKey.findMany(),
  ]
  const text = JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value))
  expect(leaksIn(text).filter((what) => what !== 'nonce')).toEqual([])
  expect(text).not.toContain('a secret of one test')
  expect(text).not.toMatch(/"d":"|PRIVATE KEY/)
})

describe('the logger', () => {
  const logged = (act: (log: ReturnType<typeof createLogger>) => void) => {
    const lines: string[] = []
    act(createLogger('debug', { write: (line) => void lines.push(line) }))
    return lines.join('')
  }

  test.each([
    'password',
    'code',
    'client_secret',
    'access_token',
    'refreshToken',
    'authorization',
    'cookie',
    'state',
    'token',
    '_csrf',
  ])('cuts %s wherever somebody hands it in', (name) => {
    const text = logged((log) => {
      log.info({ [name]: 'canary' }, 'direct')
      log.info({ body: { [name]: 'canary' } }, 'one deep')
      log.child({ [name]: 'canary' }).info('child')
    })
    expect(text).not.toContain('canary')
    expect(text).toContain('[secret]')
  })

  test('tells an error by its message, its cause and its code', () => {
    const cause = Object.assign(new Error('no route'), { code: 'ECONNREFUSED' })
    const text = logged((log) => log.error({ err: new Error('failed', { cause }) }, 'x'))
    expect(text).toContain('no route')
  })
})

test('a member who was never mentioned above does not turn up either', async () => {
  const { id, email: other } = await givenMember(server)
  await server.app.dispatcher.drain()
  expect(server.logged()).not.toContain(other)
  expect(await server.db.auditEntry.count({ where: { memberId: id } })).toBe(1)
})
