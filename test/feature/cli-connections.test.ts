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
import { givenConnection } from '../support/given.ts'
import { loginChannelId, startSimulator } from '../support/line-simulator.ts'
import { startUpstreamProvider } from '../support/upstream-provider.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
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

describe('connections test', () => {
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
