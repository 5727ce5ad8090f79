import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findConnection, openSecret } from '../../src/connections/connection.ts'
import { kinds } from '../../src/connections/settings.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { loginChannelId, startSimulator } from '../support/line-simulator.ts'
import { visitor } from '../support/linking.ts'
import { givenTrial, tryOut as tryInBrowser } from '../support/trials.ts'
import { startUpstreamProvider } from '../support/upstream-provider.ts'

let server: TestApp
const privateHosts: string[] = []
beforeAll(async () => {
  server = await startTestApp({ privateHosts })
})
afterAll(() => server.close())

const secret = 'channel secret of one test'
const connections = (args: string[], env: Record<string, string> = {}, input = '') =>
  hitotsu(['connections', ...args], { ...environmentOf(server), ...env }, input)
const create = (id: string, args: string[] = [], env: Record<string, string> = {}, input = '') =>
  connections(
    ['create', '--id', id, '--kind', 'oidc', '--name-ja', '公式ストア', '--client-id', 'hitotsu', ...args],
    env,
    input,
  )
const upstream = ['--issuer', 'https://login.example.com']
const fromInput = ['--client-secret-file', '-']

async function stored(id: string) {
  const connection = await findConnection(server.db, id)
  if (!connection) throw new Error(`${id} was not stored`)
  return connection
}

/** An upstream that publishes exactly this, and whatever its own address is. */
async function publish(metadata: (issuer: string) => unknown, status = 200) {
  const upstreamServer = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(metadata(issuer)))
  })
  await new Promise<void>((resolve) => upstreamServer.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void upstreamServer.close())
  const issuer = `http://127.0.0.1:${(upstreamServer.address() as AddressInfo).port}`
  return issuer
}

/** An address where nobody listens any more. */
async function nobody(): Promise<string> {
  const closed = createServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const { port } = closed.address() as AddressInfo
  await new Promise((resolve) => closed.close(resolve))
  return `http://127.0.0.1:${port}`
}

const reaching = (issuer: string) => ({ OUTBOUND_PRIVATE_HOSTS: new URL(issuer).host })

interface Report {
  passed: boolean
  callbackUrl: string
  checks: { name: string; outcome: string; found: string; advice?: string }[]
}

async function tryOut(id: string, env: Record<string, string> = {}) {
  const { status, stdout, stderr } = await connections(['test', id, '--json'], env)
  const report: Report = JSON.parse(stdout)
  const outcomes = Object.fromEntries(report.checks.map(({ name, outcome }) => [name, outcome]))
  return { status, stderr, report, outcomes }
}

describe('connections create', () => {
  test('names every fault at once, under its option', async () => {
    const ended = await connections([
      ...[
        'create',
        '--id',
        'Line',
        '--kind',
        'saml',
        '--issuer',
        'https://x.example.com/?a=b',
        '--scope',
        '"profile"',
      ],
      ...['--client-auth', 'trust', '--client-secret-file', '/nowhere'],
    ])
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr.trim().split('\n').sort()).toEqual([
      'error: --client-auth trust: must be one of client_secret_basic, client_secret_post',
      'error: --client-id is required',
      'error: --client-secret-file /nowhere: there is no such file',
      'error: --id Line: lower-case letters, digits and hyphens, 2 to 31 characters',
      'error: --issuer https://x.example.com/?a=b: an issuer has no query or fragment',
      `error: --kind saml: must be one of ${kinds.join(', ')}`,
      'error: --name-ja or --name-en is required',
      'error: --scope "profile": must name a scope',
      'error: the client secret (--client-secret-file <path|-> or HITOTSU_CLIENT_SECRET) is required',
    ])
  })

  test('takes no secret as an argument, and refuses to go on without one', async () => {
    const [argument, none] = await Promise.all([
      create('argued', [...upstream, '--client-secret', secret]),
      create('secretless', upstream),
    ])
    expect(argument).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("unknown option '--client-secret'"),
    })
    expect(none).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('HITOTSU_CLIENT_SECRET) is required'),
    })
  })

  test('does not repeat a secret it refuses', async () => {
    const { status, stderr } = await create('short', upstream, { HITOTSU_CLIENT_SECRET: 'short!' })
    expect(status).toBe(2)
    expect(stderr).toContain('at least 8 characters')
    expect(stderr).not.toContain('short!')
  })

  test('refuses parameters that the server sets itself, and belief in addresses LINE does not verify', async () => {
    const args = [
      ...upstream,
      ...fromInput,
      '--param',
      'state=x',
      '--param',
      'nonsense',
      '--kind',
      'line',
      '--trust-email',
    ]
    const { status, stderr } = await create('steered', args, {}, secret)
    expect(status).toBe(2)
    expect(stderr).toContain('--param state=x: the server sets state itself')
    expect(stderr).toContain('--param nonsense: must be key=value')
    expect(stderr).toContain('--trust-email: LINE does not say whether an address is verified')
  })

  test('refuses to seal with keys that are not the server’s', async () => {
    const strange = { SECRET_KEYS: 'another key of thirty-two characters' }
    const { status, stderr } = await create('sealed', [...upstream, ...fromInput], strange, secret)
    expect(status).toBe(1)
    expect(stderr).toContain('the keys at hand do not open what the server has sealed')
    expect(await findConnection(server.db, 'sealed')).toBeUndefined()
  })

  test('refuses an id that is taken', async () => {
    const { id } = await givenConnection(server)
    expect(await create(id, [...upstream, ...fromInput], {}, secret)).toEqual({
      status: 1,
      stdout: '',
      stderr: `error: there is a connection ${id} already\n`,
    })
  })

  test('a secret from a file, standard input or the environment is sealed, and nothing shows it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hitotsu-cli-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'secret'), `${secret}\n`)
    const ended = [
      await create('by-file', [...upstream, '--client-secret-file', join(folder, 'secret')]),
      await create('by-input', [...upstream, ...fromInput], {}, `${secret}\n`),
      await create('by-environment', upstream, { HITOTSU_CLIENT_SECRET: secret }),
      await connections(['list', '--json']),
      await connections(['show', 'by-file']),
    ]
    for (const { status, stdout, stderr } of ended) {
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).not.toContain(secret)
      expect(stdout).not.toMatch(/v1\.[\w-]{8}\./)
    }
    for (const id of ['by-file', 'by-input', 'by-environment'])
      expect(openSecret(server.sealer, await stored(id))).toBe(secret)
    expect(ended[0]?.stdout).toContain(`${server.issuer}/connections/by-file/callback`)
    const events = await server.db.event.findMany({
      where: { data: { path: ['connectionId'], equals: 'by-file' } },
      select: { type: true },
    })
    expect(events).toEqual([{ type: 'connection.created' }])
  })

  test('settings of the kind hold unless others are given', async () => {
    const line = ['--kind', 'line', ...fromInput]
    await create('plain-line', line, {}, secret)
    await create(
      'own-line',
      [...line, '--param', 'bot_prompt=', '--param', 'initial_amr_display=lineqr', '--scope', 'openid'],
      {},
      secret,
    )
    expect(await stored('plain-line')).toMatchObject({
      issuer: 'https://access.line.me',
      name: { ja: '公式ストア', en: '公式ストア' },
      settings: { idTokenSigningAlg: 'HS256', authorizationParams: { bot_prompt: 'normal' } },
    })
    const { settings } = await stored('own-line')
    expect(settings).toMatchObject({ idTokenSigningAlg: 'HS256', scope: 'openid' })
    expect(settings.authorizationParams).toEqual({ initial_amr_display: 'lineqr' })
  })
})

describe('a new connection', () => {
  test('is a draft, and says so, until it is enabled', async () => {
    const { stdout } = await create('draft', [...upstream, ...fromInput], {}, secret)
    expect(stdout).toContain('Nobody links or signs in through it yet.')
    expect(stdout).toContain('hitotsu connections enable draft')
    expect((await connections(['list'])).stdout).toMatch(/^draft .*not enabled yet/m)
    expect((await connections(['show', 'draft'])).stdout).toMatch(/^disabled +not enabled yet/m)
    await connections(['enable', 'draft'])
    expect((await connections(['list'])).stdout).toMatch(/^draft .*active/m)
    await connections(['disable', 'draft'])
    expect((await connections(['list'])).stdout).toMatch(/^draft .*disabled \d{4}/m)
  })

  test('of a preset needs no more than what the preset leaves open', async () => {
    const args = ['create', '--name-en', 'Google', '--client-id', 'g', ...fromInput]
    const { status, stderr } = await connections([...args, '--id', 'google', '--kind', 'google'], {}, secret)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(await stored('google')).toMatchObject({
      kind: 'google',
      issuer: 'https://accounts.google.com',
      settings: { idTokenSigningAlg: 'RS256', disclosure: 'subject' },
    })
  })

  test('of a preset without what it leaves open is refused, with where that is found', async () => {
    const ended = await Promise.all(
      ['apple', 'd-account', 'rakuten', 'shopify', 'oauth2'].map((kind) =>
        connections(
          ['create', '--id', 'asked', '--kind', kind, '--name-en', 'A', '--client-id', 'c', ...fromInput],
          {},
          secret,
        ),
      ),
    )
    expect(ended.map(({ status }) => status)).toEqual([2, 2, 2, 2, 2])
    expect(ended.map(({ stderr }) => stderr.trim().split('\n').sort())).toEqual([
      [
        expect.stringMatching(/^error: --team-id and --key-id is required for Apple: /),
        expect.stringMatching(/^error: the client secret .* is not a \.p8 file/),
      ],
      [expect.stringMatching(/^error: --issuer is required for d ACCOUNT: in the manual/)],
      [expect.stringMatching(/^error: --issuer is required for Rakuten: in what Rakuten hands/)],
      [
        expect.stringMatching(/^error: --discovery is required for Shopify: /),
        expect.stringMatching(/^error: --issuer is required for Shopify: /),
      ],
      [
        expect.stringMatching(/^error: --claim subject=<path> is required for OAuth 2\.0: /),
        expect.stringMatching(/^error: --issuer is required for OAuth 2\.0: /),
        expect.stringMatching(/^error: --userinfo-endpoint is required for OAuth 2\.0: /),
      ],
    ])
  })

  test('of OAuth 2.0 is described address by address and claim by claim', async () => {
    const described = [
      ...['--authorization-endpoint', 'https://club.example.com/authorize'],
      ...['--token-endpoint', 'https://club.example.com/token'],
      ...['--userinfo-endpoint', 'https://club.example.com/me?fields=id'],
      ...['--claim', 'subject=data.id', '--claim', 'email=data.email', '--subject-type', 'integer'],
      ...['--disclosure', 'pairwise', '--link-only'],
    ]
    const { status, stderr } = await create(
      'club',
      [...upstream, ...described, '--kind', 'oauth2', ...fromInput],
      {},
      secret,
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(await stored('club')).toMatchObject({
      allowSignIn: false,
      settings: {
        endpoints: { userinfo: 'https://club.example.com/me?fields=id' },
        claims: { subject: 'data.id', subjectType: 'integer', email: 'data.email' },
        disclosure: 'pairwise',
      },
    })
  })

  test.each([
    ['--claim', 'subject', '--claim subject: must be subject='],
    ['--claim', 'subject=__proto__..x', '--claim subject=<path> __proto__..x: must be a path'],
    ['--claim', 'sub=id', '--claim sub=id: must be subject='],
    ['--subject-type', 'integer', '--subject-type: goes with --claim'],
    ['--token-endpoint', 'ftp://a.example', '--token-endpoint ftp://a.example: is not a URL'],
    ['--token-endpoint', 'https://user@a.example', '--token-endpoint https://user@a.example: has no'],
    ['--disclosure', 'none', '--disclosure none: must be one of subject, pairwise'],
  ])('with %s %s is refused', async (option, value, fault) => {
    const { status, stderr } = await create(
      'odd',
      [...upstream, '--kind', 'oauth2', ...fromInput, option, value],
      {},
      secret,
    )
    expect(status).toBe(2)
    expect(stderr).toContain(`error: ${fault}`)
  })
})

describe('connections presets', () => {
  test('lists every kind, what it needs and where that is stated', async () => {
    const { status, stdout } = await connections(['presets', '--json'])
    expect(status).toBe(0)
    const presets: { kind: string; documentation: string; needs: unknown[] }[] = JSON.parse(stdout)
    expect(presets.map(({ kind }) => kind)).toEqual([...kinds])
    for (const { documentation } of presets) expect(documentation).toMatch(/^https:\/\//)
    const text = (await connections(['presets'])).stdout
    expect(text).toContain('--team-id, --key-id')
    expect(text).toContain('never verified')
  })
})

describe('connections update', () => {
  test('refuses a connection that does not exist', async () => {
    expect(await connections(['update', 'absent', '--name-en', 'A'])).toMatchObject({
      status: 1,
      stderr: 'error: there is no connection absent\n',
    })
  })

  test.each([
    [['--issuer', 'https://evil.example']],
    [['--discovery', 'https://evil.example/.well-known/openid-configuration']],
    [['--userinfo-endpoint', 'https://evil.example/me']],
    [['--revocation-endpoint', 'https://evil.example/revoke']],
    [['--client-id', 'another']],
  ])('with %j asks for the secret again, and changes nothing without', async (args) => {
    const given = await givenConnection(server)
    const { status, stderr } = await connections(['update', given.id, ...args])
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('has to be given again, because an address or the client changes'),
    })
    expect(await stored(given.id)).toEqual(given)
    const again = await connections(['update', given.id, ...args, ...fromInput], {}, 'another secret')
    expect(again).toMatchObject({ status: 0, stderr: '' })
    expect(openSecret(server.sealer, await stored(given.id))).toBe('another secret')
  })

  test('changes what is given, keeps the rest, and tells what changed', async () => {
    const { id } = await givenConnection(server, { settings: { authorizationParams: { a: '1', b: '2' } } })
    const args = [
      '--name-en',
      'New name',
      '--param',
      'a=',
      '--param',
      'c=3',
      '--disclosure',
      'pairwise',
      '--json',
    ]
    const { stdout } = await connections(['update', id, ...args])
    expect(JSON.parse(stdout)).toMatchObject({ changed: ['name', 'settings'] })
    const changed = await stored(id)
    expect(changed.settings).toMatchObject({
      scope: 'openid profile email',
      authorizationParams: { b: '2', c: '3' },
      disclosure: 'pairwise',
    })
    const event = await server.db.event.findFirstOrThrow({
      where: { type: 'connection.updated', data: { path: ['connectionId'], equals: id } },
    })
    expect(event.data).toEqual({ connectionId: id, changed: ['name', 'settings'] })
  })

  test('that changes nothing is no change', async () => {
    const given = await givenConnection(server)
    const { stdout } = await connections([
      'update',
      given.id,
      '--name-en',
      given.name.en,
      '--name-ja',
      given.name.ja,
    ])
    expect(stdout).toContain('nothing changed')
    expect(await stored(given.id)).toEqual(given)
  })

  test('keeps the issuer of accounts that are linked', async () => {
    const { id } = await givenConnection(server)
    await givenIdentity(server, { memberId: (await givenMember(server)).id, connectionId: id })
    const args = ['update', id, '--issuer', 'https://other.example', ...fromInput]
    const { status, stderr } = await connections(args, {}, secret)
    expect(status).toBe(1)
    expect(stderr).toContain('--issuer: names accounts that are linked')
  })

  test('is held to the rules of the kind', async () => {
    const { id } = await givenConnection(server)
    const { status, stderr } = await connections([
      'update',
      id,
      '--scope',
      'profile',
      '--team-id',
      'A',
      '--key-id',
      'B',
    ])
    expect(status).toBe(1)
    expect(stderr.trim().split('\n')).toEqual([
      'error: --scope: must contain openid',
      'error: --team-id and --key-id: OpenID Connect takes a secret, not a key',
    ])
  })
})

describe('connections test', () => {
  test('prints an address that tries the connection in a browser, once', async () => {
    const provider = await startUpstreamProvider({
      clients: [
        {
          client_id: 'hitotsu',
          client_secret: secret,
          redirect_uris: [`${server.issuer}/connections/tried/callback`],
        },
      ],
    })
    onTestFinished(() => provider.close())
    privateHosts.push(new URL(provider.issuer).host)
    await create('tried', ['--issuer', provider.issuer, ...fromInput], {}, secret)
    const { stdout } = await connections(['test', 'tried', '--json'], reaching(provider.issuer))
    const { trialUrl } = JSON.parse(stdout)
    const browser = visitor()
    expect((await tryInBrowser(browser, trialUrl)).html).toContain('The connection works')
    expect((await browser.open(trialUrl)).status).toBe(410)
    const text = (await connections(['test', 'tried'], reaching(provider.issuer))).stdout
    expect(text).toContain(`${server.issuer}/connection-trial?ticket=v1.`)
  })

  test('prints none where something stands in the way', async () => {
    const { id } = await givenConnection(server, { issuer: await nobody() })
    const { stdout } = await connections(['test', id, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ passed: false, trialUrl: null })
  })

  test('a connection whose addresses are all set is asked for no metadata', async () => {
    const endpoints = {
      authorization: 'https://a.example/a',
      token: 'https://a.example/t',
      userinfo: 'https://a.example/u',
    }
    const { id } = await givenConnection(server, {
      kind: 'oauth2',
      settings: { endpoints, claims: { subject: 'id', subjectType: 'text' } },
    })
    const { status, report } = await tryOut(id)
    expect(status).toBe(0)
    expect(report.checks.map(({ name, outcome }) => [name, outcome])).toEqual([
      ['discovery', 'ok'],
      ['endpoints', 'ok'],
    ])
  })

  test('a connection without an upstream has nobody to be sent to', async () => {
    const { id } = await givenConnection(server, { kind: 'ticket', issuer: 'https://shop.example.com' })
    const { status, stdout } = await connections(['test', id, '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ passed: true, trialUrl: null, checks: [{ name: 'upstream' }] })
    const page = await visitor().open(givenTrial(server, id))
    expect(page.status).toBe(410)
  })

  test('metadata at an address of its own has to be of the issuer', async () => {
    const issuer = 'https://shopify.com/authentication/1'
    const at = await publish((self) => ({
      issuer,
      authorization_endpoint: `${self}/authorize`,
      token_endpoint: `${self}/token`,
      jwks_uri: `${self}/jwks`,
    }))
    const settings = { discovery: `${at}/.well-known/openid-configuration` }
    const [shop, other] = [
      await givenConnection(server, { kind: 'shopify', issuer, settings }),
      await givenConnection(server, { kind: 'shopify', issuer: `${issuer}2`, settings }),
    ]
    expect((await tryOut(shop.id, reaching(at))).outcomes).toMatchObject({ discovery: 'ok', issuer: 'ok' })
    const { report } = await tryOut(other.id, reaching(at))
    expect(report.checks[0]).toMatchObject({
      outcome: 'fail',
      found: `the document is of the issuer ${issuer}`,
    })
  })

  test('an address that may not be reached fails, with the way to allow it', async () => {
    const issuer = await publish((self) => ({ issuer: self }))
    const { id } = await givenConnection(server, { issuer })
    const { status, report } = await tryOut(id)
    expect(status).toBe(1)
    expect(report).toMatchObject({ passed: false, checks: [{ name: 'discovery', outcome: 'fail' }] })
    expect(report.checks[0]?.advice).toContain('OUTBOUND_PRIVATE_HOSTS')
  })

  test('an upstream that is not there, is no provider or is somebody else fails in words', async () => {
    const elsewhere = await publish(() => ({ issuer: 'https://other.example.com' }))
    const broken = await publish(() => ({}), 404)
    const silent = await nobody()
    const given = await Promise.all(
      [elsewhere, broken, silent].map((issuer) => givenConnection(server, { issuer })),
    )
    const env = {
      OUTBOUND_PRIVATE_HOSTS: [elsewhere, broken, silent].map((issuer) => new URL(issuer).host).join(','),
    }
    const found = []
    for (const { id } of given) found.push((await tryOut(id, env)).report.checks[0]?.found)
    expect(found).toEqual([
      'the document is of the issuer https://other.example.com',
      'the upstream answered with HTTP status 404',
      expect.stringContaining('it cannot be reached: connect ECONNREFUSED'),
    ])
  })

  test('what an upstream lacks fails or warns, each with what to do', async () => {
    const issuer = await publish((self) => ({
      issuer: `${self}/`,
      authorization_endpoint: `${self}/authorize`,
      code_challenge_methods_supported: ['plain'],
      scopes_supported: ['openid', 'profile'],
      id_token_signing_alg_values_supported: ['HS256'],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    }))
    const { id } = await givenConnection(server, { issuer })
    const { status, report, outcomes } = await tryOut(id, reaching(issuer))
    expect(status).toBe(1)
    expect(outcomes).toEqual({
      discovery: 'ok',
      issuer: 'fail',
      endpoints: 'fail',
      PKCE: 'fail',
      scopes: 'warn',
      'ID token': 'fail',
      authentication: 'fail',
    })
    expect(report.checks.filter(({ outcome, advice }) => (outcome === 'ok') === Boolean(advice))).toEqual([])
  })

  test('a disabled connection is told of, and one that no key opens fails', async () => {
    const issuer = await publish((self) => ({ issuer: self }))
    const { id } = await givenConnection(server, { issuer })
    await connections(['disable', id])
    expect((await tryOut(id, reaching(issuer))).outcomes).toMatchObject({ state: 'warn' })
    await server.db.connection.update({ where: { id }, data: { sealedSecret: 'v1.unknown0.AAAA.AAAA' } })
    expect((await tryOut(id)).outcomes).toEqual({ state: 'warn', secret: 'fail' })
  })

  test('a connection that does not exist is refused', async () => {
    expect(await connections(['test', 'absent'])).toEqual({
      status: 1,
      stdout: '',
      stderr: 'error: there is no connection absent\n',
    })
  })

  test('an OpenID Provider and LINE pass', async () => {
    const provider = await startUpstreamProvider({ clients: [] })
    const simulator = await startSimulator()
    onTestFinished(async () => {
      await Promise.all([provider.close(), simulator.close()])
    })
    const plain = await givenConnection(server, { issuer: provider.issuer })
    const line = await givenConnection(server, {
      kind: 'line',
      issuer: simulator.url,
      clientId: loginChannelId,
    })
    const { report, status } = await tryOut(plain.id, reaching(provider.issuer))
    expect(report.checks.filter(({ outcome }) => outcome === 'fail')).toEqual([])
    expect(status).toBe(0)
    expect(report.callbackUrl).toBe(`${server.issuer}/connections/${plain.id}/callback`)
    const { outcomes } = await tryOut(line.id, reaching(simulator.url))
    expect(new Set(Object.values(outcomes))).toEqual(new Set(['ok']))

    const { status: printed, stdout } = await connections(['test', line.id], reaching(simulator.url))
    expect(printed).toBe(0)
    expect(stdout).toContain('Nothing stands in the way')
  })
})

describe('connections disable', () => {
  test('refuses a connection that does not exist', async () => {
    expect(await connections(['disable', 'absent'])).toMatchObject({ status: 1, stdout: '' })
  })

  test('the connection is no longer offered; a second time changes nothing', async () => {
    const { id } = await givenConnection(server)
    expect(await connections(['disable', id])).toMatchObject({ status: 0, stderr: '' })
    expect((await stored(id)).disabledAt).not.toBeNull()
    const again = await connections(['disable', id, '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ id, changed: false, membersSignedOut: 0 })
    const { stdout } = await connections(['list'])
    expect(stdout).toMatch(new RegExp(`^${id} .*disabled`, 'm'))
  })
})

describe('connections enable', () => {
  test('refuses a connection that does not exist', async () => {
    expect(await connections(['enable', 'absent'])).toMatchObject({ status: 1, stdout: '' })
  })

  test('undoes what disable did; a second time changes nothing', async () => {
    const { id } = await givenConnection(server)
    await server.db.connection.update({ where: { id }, data: { disabledAt: server.now() } })
    const enabled = await connections(['enable', id, '--json'])
    expect(JSON.parse(enabled.stdout)).toEqual({ id, disabledAt: null, changed: true })
    expect((await stored(id)).disabledAt).toBeNull()
    expect((await connections(['enable', id])).stdout).toContain('nothing changed')
  })
})

test('a connection that is vouched for has neither a client nor a secret to be told, and signs nobody in', async () => {
  const args = [
    'create',
    '--id',
    'cart',
    '--kind',
    'ticket',
    '--name-ja',
    'カート',
    '--issuer',
    'https://cart.example.com',
  ]
  const { status, stdout } = await connections(args)
  expect(status).toBe(0)
  expect(stdout).not.toContain('Register this callback')
  expect(stdout).toContain('--vouch-connection cart')
  expect(await stored('cart')).toMatchObject({
    kind: 'ticket',
    allowSignIn: false,
    issuer: 'https://cart.example.com',
  })
})
