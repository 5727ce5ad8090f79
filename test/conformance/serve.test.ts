import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { openBrowser } from '../support/browser.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type KeyPair, proving } from '../support/fapi.ts'
import { authorize } from '../support/relying-party.ts'
import { browserScripts, type Scripts } from './browser-script.ts'
import type { CertificatePair } from './certificate.ts'
import { core } from './clients.ts'
import { plans } from './plans.ts'
import { type ConformanceServer, rotatePath, serveConformance } from './serve.ts'
import { openSuiteBrowser, openSuiteServer, type SuiteBrowser } from './suite-browser.ts'
import { memberEmail } from './world.ts'

const suite = await openSuiteServer()
const callback = `${suite.url}/test/a/run/callback`
const goodbye = `${suite.url}/test/a/run/post_logout_redirect`
const data = mkdtempSync(join(tmpdir(), 'hitotsu-conformance-'))

let database: TestDatabase
let server: ConformanceServer
let browser: SuiteBrowser
const start = (port = 0) => {
  const env = { DATABASE_URL: database.url, LOG_LEVEL: 'silent' }
  return serveConformance({ host: '127.0.0.1', port, suite: suite.url, alias: 'run', data, env })
}
beforeAll(async () => {
  ;[database, browser] = await Promise.all([createDatabase(), openSuiteBrowser()])
  server = await start()
  setDefaultCACertificates([...getCACertificates('default'), server.certificate, suite.certificate])
})
afterAll(async () => {
  await Promise.all([browser.close(), server.stop(), suite.close()])
  await database.drop()
  rmSync(data, { recursive: true })
})

type Json = Record<string, unknown>
const json = async (path: string, init?: RequestInit) =>
  (await (await fetch(`${server.issuer}${path}`, init)).json()) as Json

/** What somebody with the suite gives to it. */
function planFile(name: string): Json & Scripts & { client: Record<string, string> } {
  return JSON.parse(readFileSync(join(data, 'plans', `${name}.json`), 'utf8'))
}

function scriptsOf(plan: string, module?: string) {
  const { browser: usual, override } = planFile(plan)
  return (module && override[module]?.browser) || usual
}

function authorizationUrl(parameters: Record<string, string> = {}): URL {
  const url = new URL('/authorize', server.issuer)
  url.search = new URLSearchParams({
    ...{ response_type: 'code', client_id: core.first, redirect_uri: callback, state: 'state' },
    ...{ scope: 'openid profile email address phone', ...parameters },
  }).toString()
  return url
}

/** The tokens for a code, as a client without PKCE gets them. */
async function redeem(
  code: string | null,
  plan = 'basic-static',
): Promise<{ access_token: string; id_token: string }> {
  const { client } = planFile(plan)
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code: code ?? '',
    redirect_uri: callback,
  })
  const headers = { authorization: `Basic ${basic}` }
  return (await json('/token', { method: 'POST', headers, body })) as Awaited<ReturnType<typeof redeem>>
}

async function signIn() {
  const member = { email: memberEmail, password: server.kept.memberPassword }
  const url = await authorize({ redirectUri: callback }, openBrowser(), member, authorizationUrl())
  return redeem(url.searchParams.get('code'))
}

function signOutUrl(parameters: Record<string, string>): URL {
  const url = new URL('/sign-out', server.issuer)
  url.search = new URLSearchParams(parameters).toString()
  return url
}

describe('the server that conformance:serve starts', () => {
  test('is known under https, and signs with what every plan needs', async () => {
    const metadata = await json('/.well-known/openid-configuration')
    const addresses = Object.entries(metadata).filter(([name]) => /_endpoint$|^jwks_uri$|^issuer$/.test(name))
    expect(addresses.length).toBeGreaterThan(8)
    expect(addresses.filter(([, url]) => !String(url).startsWith(server.issuer))).toEqual([])
    expect(server.issuer).toMatch(/^https:/)
    expect(metadata.id_token_signing_alg_values_supported).toEqual(expect.arrayContaining(['RS256', 'PS256']))
    expect(metadata.tls_client_certificate_bound_access_tokens).toBe(true)
  })

  test('has a member with something to say for every standard claim', async () => {
    const { access_token } = await signIn()
    const claims = await json('/userinfo', { headers: { authorization: `Bearer ${access_token}` } })
    const scopes = {
      profile:
        'name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate zoneinfo locale updated_at',
      others: 'sub email email_verified address phone_number phone_number_verified',
    }
    const expected = Object.values(scopes).flatMap((names) => names.split(' '))
    expect(Object.keys(claims).sort()).toEqual(expected.sort())
    expect(Object.entries(claims).filter(([, value]) => !value)).toEqual([])
  })

  test('lets the suite register clients, without PKCE and with addresses of its own', async () => {
    const { client } = planFile('basic-dynamic')
    const registration = await json('/register', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${client.initial_access_token}`,
      },
      body: JSON.stringify({
        redirect_uris: [callback],
        client_name: 'Registered',
        response_types: ['code'],
      }),
    })
    expect(registration).toMatchObject({ client_secret: expect.any(String), require_pkce: false })
  })

  test('exchanges its keys on demand; what the ones before have signed still verifies', async () => {
    const before = (await signIn()).id_token
    const made = (await json(rotatePath, { method: 'POST' })) as Record<string, string>
    const after = (await signIn()).id_token
    const kids = [before, after].map((token) => decodeProtectedHeader(token).kid)
    expect(kids[1]).toBe(made.RS256)
    expect(kids[0]).not.toBe(kids[1])
    const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
    for (const token of [before, after]) await jwtVerify(token, keys, { issuer: server.issuer })
  })
})

describe('the front', () => {
  /** Whether a client of mutual TLS gets a request pushed that shows this certificate, or speaks of it. */
  function push(shown: CertificatePair | undefined, headers: Record<string, string> = {}): Promise<number> {
    const form = new URLSearchParams({
      ...{ client_id: 'fapi2-sp-mtls-mtls-1', response_type: 'code', redirect_uri: callback },
      ...{ scope: 'openid', code_challenge_method: 'S256', code_challenge: 'a'.repeat(43) },
    })
    const options = {
      ...{ method: 'POST', agent: false, ca: server.certificate },
      ...(shown && { cert: shown.certificate, key: shown.key }),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    }
    return new Promise((resolve, reject) => {
      const sent = request(`${server.issuer}/par`, options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      sent.on('error', reject)
      sent.end(form.toString())
    })
  }

  test('believes no certificate that is only spoken of', async () => {
    const [{ certificate }, other] = server.kept.credentials
    const body = certificate.certificate.replace(/-----.*-----|\s/g, '')
    for (const name of ['Client-Cert', 'client-cert'])
      expect(await push(undefined, { [name]: `:${body}:` })).toBe(401)
    expect(await push(other.certificate, { 'Client-Cert': `:${body}:` })).toBe(401)
  })

  test('passes on the one that was shown', async () => {
    expect(await push(server.kept.credentials[0].certificate)).toBe(201)
  })
})

describe('the plans', () => {
  test('are files that name clients which exist, with keys or secrets that are theirs', async () => {
    for (const plan of server.plans) {
      const file = planFile(plan.name)
      expect(file).toEqual(plan.config)
      for (const { client_id: id } of [file.client, file.client2 as { client_id?: string }])
        if (id) expect(await database.db.client.count({ where: { id } }), id).toBe(1)
    }
    const { client } = planFile('fapi2-sp-pkjwt-dpop')
    const [key] = (client.jwks as unknown as { keys: Parameters<typeof importJWK>[0][] }).keys
    const keys = { privateKey: await importJWK(key ?? {}) } as KeyPair
    const proof = await proving(server, { id: String(client.client_id), keys }, { header: { alg: 'PS256' } })
    const form = { ...proof, response_type: 'code', redirect_uri: callback, scope: 'openid' }
    const pkce = { code_challenge_method: 'S256', code_challenge: 'a'.repeat(43) }
    const body = new URLSearchParams({ ...form, ...pkce })
    expect(await json('/par', { method: 'POST', body })).toHaveProperty('request_uri')
  })

  test('have scripts for no other module', () => {
    const modules = Object.values(plans).flat()
    const { override } = browserScripts(server.issuer, { email: memberEmail, password: 'any' })
    expect(Object.keys(override).filter((module) => !modules.includes(module))).toEqual([])
  })

  test('go on working after a restart', async () => {
    const before = server.plans
    await server.stop()
    server = await start(Number(new URL(server.issuer).port))
    expect(server.plans).toEqual(before)
    expect(await signIn()).toHaveProperty('id_token')
  })
})

describe('a browser without scripts, led by the plans', () => {
  beforeEach(() => browser.forget())

  test('signs in, agrees, and signs in again where a module asks for it', async () => {
    const scripts = scriptsOf('basic-static', 'oidcc-prompt-login')
    const first = await browser.run(scripts, authorizationUrl({ prompt: 'consent' }))
    expect(first.done).toEqual(['Sign in', 'Allow', 'Be back'])
    const again = await browser.run(scripts, authorizationUrl({ prompt: 'login' }))
    expect(again.done).toEqual(['Sign in', 'Be back'])
    expect(again.url.searchParams.has('code')).toBe(true)
  })

  test('sends an answer by form', async () => {
    const url = authorizationUrl({ response_mode: 'form_post' })
    const { done } = await browser.run(scriptsOf('formpost'), url)
    expect(done.slice(-2)).toEqual(['Send the answer', 'Be back'])
    const answer = suite.received.get('/test/a/run/callback')
    expect(answer?.get('state')).toBe('state')
    expect(await redeem(answer?.get('code') ?? null)).toHaveProperty('id_token')
  })

  test('sees a refusal', async () => {
    const scripts = scriptsOf('basic-static', 'oidcc-ensure-registered-redirect-uri')
    const { url } = await browser.run(scripts, authorizationUrl({ redirect_uri: `${callback}/else` }))
    expect(url.origin).toBe(server.issuer)
  })

  test('takes a refusal either way', async () => {
    const scripts = scriptsOf('basic-static', 'oidcc-response-type-missing')
    const answered = await browser.run(scripts, authorizationUrl({ response_type: '' }))
    expect(answered.done).toEqual(['Be back'])
    const shown = await browser.run(scripts, authorizationUrl({ client_id: 'nobody' }))
    expect(shown.done).toEqual(['See the refusal'])
  })

  test('cancels', async () => {
    const module = 'fapi2-security-profile-final-user-rejects-authentication'
    const { url } = await browser.run(scriptsOf('fapi2-sp-pkjwt-dpop', module), authorizationUrl())
    expect(url.searchParams.get('error')).toBe('access_denied')
  })

  test('stops before it signs in where a module comes twice', async () => {
    const module =
      'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds'
    const scripts = scriptsOf('fapi2-sp-pkjwt-dpop', module)
    expect((await browser.run(scripts, authorizationUrl())).done).toEqual(['See the sign-in page'])
    expect((await browser.run(scripts, authorizationUrl())).done).toContain('Be back')
  })

  test('sees who asks', async () => {
    const scripts = scriptsOf('dynamic', 'oidcc-registration-policy-uri')
    const { done } = await browser.run(scripts, authorizationUrl({ prompt: 'consent' }))
    expect(done).toEqual(['Sign in', 'See who asks'])
  })

  test('signs out, and is back with the state; the suite hears of it', async () => {
    const scripts = scriptsOf('backchannel')
    const { url: answer } = await browser.run(scripts, authorizationUrl({ client_id: core.logout }))
    const { id_token } = await redeem(answer.searchParams.get('code'), 'backchannel')
    const asked = { id_token_hint: id_token, post_logout_redirect_uri: goodbye, state: 'bye' }
    const { url } = await browser.run(scripts, signOutUrl(asked))
    expect(url.href).toBe(`${goodbye}?state=bye`)
    const told = await vi.waitFor(() => {
      const form = suite.received.get('/test/a/run/backchannel_logout')
      if (!form) throw new Error('the suite was told nothing')
      return form
    }, 15_000)
    expect(decodeJwt(told.get('logout_token') ?? '').sid).toBe(decodeJwt(id_token).sid)
  })

  test('is asked, and signs out, on pages of ours where it has nowhere to go back to', async () => {
    const scriptsFor = (module: string) =>
      scriptsOf('rp-initiated-logout', `oidcc-rp-initiated-logout-${module}`)
    const foreign = signOutUrl({ id_token_hint: 'not.one.at-all', post_logout_redirect_uri: goodbye })
    expect((await browser.run(scriptsFor('bad-id-token-hint'), foreign)).done).toEqual(['See the refusal'])

    await browser.run(scriptsOf('rp-initiated-logout'), authorizationUrl())
    const unknown = signOutUrl({ post_logout_redirect_uri: goodbye })
    const asked = await browser.run(scriptsFor('no-id-token-hint'), unknown)
    expect(asked.done).toEqual(['See that one is asked'])
    const left = await browser.run(scriptsFor('no-params'), signOutUrl({}))
    expect(left.done).toEqual(['Sign out', 'See that one is signed out'])
  })
})
