import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { digest } from '../../src/security/digest.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenClient, givenConnection } from '../support/given.ts'
import { post } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const clients = (...args: string[]) => hitotsu(['clients', ...args], environmentOf(server))
const redirectUri = 'https://rp.example.com/callback'
const create = (id: string, ...args: string[]) =>
  clients('create', '--id', id, '--name-en', 'Shop', '--redirect-uri', redirectUri, ...args)

/** Whether the running server takes an authorization request of the client. */
async function isKnown(clientId: string): Promise<boolean> {
  const url = new URL('/authorize', server.issuer)
  url.search = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeGK8t4K3GQ8DYwm4dRQ',
    code_challenge_method: 'S256',
  }).toString()
  const page = await openBrowser().open(url)
  return page.status === 200 && page.url.pathname.startsWith('/interaction/')
}

/** What the token endpoint says to this secret; the code is nobody's, so a right secret gets invalid_grant. */
async function answerTo(id: string, secret: string): Promise<unknown> {
  const form = {
    grant_type: 'authorization_code',
    code: 'unknown',
    redirect_uri: redirectUri,
    code_verifier: 'v'.repeat(43),
  }
  return (await post(server, '/token', form, { client: { id, secret, redirectUri } })).json.error
}

async function jwksFile(jwks: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hitotsu-cli-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'jwks.json')
  await writeFile(file, typeof jwks === 'string' ? jwks : JSON.stringify(jwks))
  return file
}

const eventsOf = (clientId: string) =>
  server.db.event.findMany({
    where: { data: { path: ['clientId'], equals: clientId } },
    orderBy: { position: 'asc' },
    select: { type: true },
  })

describe('clients create', () => {
  test('names every fault at once, under its option, and stores nothing', async () => {
    const before = await server.db.client.count()
    const ended = await clients(
      'create',
      ...['--redirect-uri', 'nonsense', '--redirect-uri', 'https://rp.example.com/#part'],
      ...['--scope', 'openid frobnicate', '--auth-method', 'telepathy', '--jwks-file', '/nowhere'],
      ...['--tos-uri', 'javascript:alert(1)'],
    )
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr.trim().split('\n').sort()).toEqual([
      'error: --auth-method telepathy: must be one of client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, self_signed_tls_client_auth, none',
      'error: --id is required',
      'error: --jwks-file /nowhere: there is no such file',
      'error: --name-ja or --name-en is required',
      'error: --redirect-uri https://rp.example.com/#part: redirect_uris must not contain fragments',
      'error: --redirect-uri nonsense: is not a URL that can be used here',
      'error: --scope frobnicate: scope must only contain Authorization Server supported scope values',
      'error: --tos-uri javascript:alert(1): is not a URL that can be used here',
    ])
    expect(await server.db.client.count()).toBe(before)
  })

  test('RFC 9700 section 2.1: refuses http, except on a loopback address (RFC 8252 section 7.3)', async () => {
    const refused = await create('plain-http', '--redirect-uri', 'http://rp.example.com/callback')
    expect(refused.status).toBe(2)
    expect(refused.stderr).toBe(
      'error: --redirect-uri http://rp.example.com/callback: must be https: http is for localhost, 127.0.0.1 and [::1] alone\n',
    )
    const taken = await create('loopback', '--redirect-uri', 'http://127.0.0.1:8080/callback')
    expect(taken.status).toBe(0)
  })

  test('refuses keys that are missing, not JSON or private', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const ofPrivate = await jwksFile({ keys: [await exportJWK(privateKey)] })
    const attempt = (...args: string[]) => create('with-keys', '--auth-method', 'private_key_jwt', ...args)
    const [missing, broken, leaked] = await Promise.all([
      attempt(),
      attempt('--jwks-file', await jwksFile('{')),
      attempt('--jwks-file', ofPrivate),
    ])
    expect(missing).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--jwks-file: jwks .* is mandatory/),
    })
    expect(broken).toMatchObject({ status: 2, stderr: expect.stringMatching(/--jwks-file \S+: is not JSON/) })
    expect(leaked).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('jwks.keys[0].d must not be provided'),
    })
  })

  test('names every connection there is not', async () => {
    const options = ['--connection', 'absent', '--vouch-connection', 'missing', '--token-connection', 'gone']
    const ended = await create('lost', ...options)
    expect(ended).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'error: --connection absent: there is no such connection\nerror: --vouch-connection missing: there is no such connection\nerror: --token-connection gone: there is no such connection\n',
    })
    expect(await server.db.client.count({ where: { id: 'lost' } })).toBe(0)
  })

  test('refuses an id that is taken, and leaves its owner as it was', async () => {
    const { id, secret } = await givenClient(server, { redirectUris: [redirectUri] })
    expect(await create(id)).toEqual({
      status: 1,
      stdout: '',
      stderr: `error: there is a client ${id} already\n`,
    })
    expect(await answerTo(id, secret)).toBe('invalid_grant')
    expect(await eventsOf(id)).toEqual([{ type: 'client.created' }])
  })

  test('a running server knows the client and its secret at once', async () => {
    const { id: connection } = await givenConnection(server)
    expect(await isKnown('shop')).toBe(false)
    const ended = await create(
      'shop',
      '--connection',
      connection,
      '--scope',
      'openid linked_accounts',
      '--first-party',
    )
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(ended.stdout).toContain('will not be shown again')
    const secret = /client secret +(\S+)/.exec(ended.stdout)?.[1] ?? ''
    expect(await isKnown('shop')).toBe(true)
    expect(await answerTo('shop', secret)).toBe('invalid_grant')
    expect(await answerTo('shop', `${secret}x`)).toBe('invalid_client')
    expect(await eventsOf('shop')).toEqual([{ type: 'client.created' }])

    const told = [
      await clients('show', 'shop'),
      await clients('show', 'shop', '--json'),
      await clients('list', '--json'),
    ]
    for (const { status, stdout } of told) {
      expect(status).toBe(0)
      expect(stdout).not.toContain(secret)
    }
    expect(JSON.parse(told[1]?.stdout ?? '')).toMatchObject({
      id: 'shop',
      name: { ja: 'Shop', en: 'Shop' },
      scopes: ['openid', 'linked_accounts'],
      connections: [connection],
      firstParty: true,
      secrets: [{ expiresAt: null }],
      disabledAt: null,
    })
  })

  test('with --json prints one JSON value, which holds the secret of a client that has one', async () => {
    const secretive = await create('secretive', '--json')
    expect(secretive.stderr).toBe('')
    const { client, secret } = JSON.parse(secretive.stdout)
    expect(client.id).toBe('secretive')
    expect(await answerTo('secretive', secret)).toBe('invalid_grant')
    const open = JSON.parse((await create('open', '--auth-method', 'none', '--json')).stdout)
    expect(open).not.toHaveProperty('secret')
    expect(open.client.secrets).toEqual([])
  })
})

describe('clients rotate-secret', () => {
  test('refuses a client that is unknown, has no secret or is disabled, and an overlap that is no time', async () => {
    const open = await givenClient(server, { authMethod: 'none' })
    const gone = await givenClient(server)
    await clients('disable', gone.id)
    const [unknown, secretless, disabled, endless] = await Promise.all([
      clients('rotate-secret', 'nobody'),
      clients('rotate-secret', open.id),
      clients('rotate-secret', gone.id),
      clients('rotate-secret', open.id, '--overlap', '90d'),
    ])
    expect(unknown).toEqual({ status: 1, stdout: '', stderr: 'error: there is no client nobody\n' })
    expect(secretless).toMatchObject({ status: 1, stderr: expect.stringContaining('has no secret') })
    expect(disabled).toMatchObject({ status: 1, stderr: expect.stringContaining('is disabled') })
    expect(endless).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('at most 30 days'),
    })
  })

  test('two secrets work until the overlap is over, then the new one alone', async () => {
    const { id, secret } = await givenClient(server, { redirectUris: [redirectUri] })
    const ended = await clients('rotate-secret', id, '--overlap', '1h', '--json')
    const { secret: next, previousExpiresAt } = JSON.parse(ended.stdout)
    expect(await answerTo(id, secret)).toBe('invalid_grant')
    expect(await answerTo(id, next)).toBe('invalid_grant')
    expect(await eventsOf(id)).toEqual([{ type: 'client.created' }, { type: 'client.secret_rotated' }])
    const stored = await server.db.clientSecret.findMany({
      where: { clientId: id, expiresAt: { not: null } },
    })
    expect(stored.map(({ expiresAt }) => expiresAt?.toISOString())).toEqual([previousExpiresAt])

    server.advance(3_700)
    onTestFinished(() => server.advance(-3_700))
    expect(await answerTo(id, secret)).toBe('invalid_client')
    expect(await answerTo(id, next)).toBe('invalid_grant')
  })

  test('without an overlap the secret before ends at once', async () => {
    const { id, secret } = await givenClient(server, { redirectUris: [redirectUri] })
    const { stdout } = await clients('rotate-secret', id, '--overlap', '0')
    expect(stdout).toContain('no longer works')
    expect(await answerTo(id, secret)).toBe('invalid_client')
  })
})

describe('clients disable', () => {
  test('refuses a client that does not exist', async () => {
    expect(await clients('disable', 'nobody')).toMatchObject({ status: 1, stdout: '' })
  })

  test('a running server does not know the client any more; a second time changes nothing', async () => {
    const { id, secret } = await givenClient(server, { redirectUris: [redirectUri] })
    expect(await isKnown(id)).toBe(true)
    expect(await clients('disable', id)).toMatchObject({ status: 0, stderr: '' })
    expect(await isKnown(id)).toBe(false)
    expect(await answerTo(id, secret)).toBe('invalid_client')
    const again = await clients('disable', id, '--json')
    expect(again.status).toBe(0)
    expect(JSON.parse(again.stdout)).toMatchObject({ id, changed: false })
    expect(await eventsOf(id)).toEqual([{ type: 'client.created' }, { type: 'client.disabled' }])
  })
})

describe('clients show and list', () => {
  test('a client that does not exist cannot be shown', async () => {
    expect(await clients('show', 'nobody', '--json')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'error: there is no client nobody\n',
    })
  })

  test('a table keeps its columns beside Japanese, and shows no control character', async () => {
    await givenClient(server, { id: 'wide', name: { ja: '公式ストア', en: 'Of\u001b[31mficial' } })
    const { stdout } = await clients('list')
    const line = stdout.split('\n').find((text) => text.startsWith('wide ')) ?? ''
    expect(line).toContain('Of\ufffd[31mficial')
    const heading = stdout.split('\n')[0] ?? ''
    // Five full-width characters fill ten columns.
    expect(line.indexOf('Of') + 5).toBe(heading.indexOf('NAME (EN)'))
  })
})

describe('clients update', () => {
  test('says some things anew and keeps the rest, secrets and languages too', async () => {
    const { id, secret } = await givenClient(server, { policyUri: 'https://rp.example.com/privacy' })
    const before = await server.db.client.findUniqueOrThrow({ where: { id } })
    const ended = await clients(
      ...['update', id, '--name-en', 'New name', '--pkce-optional', '--unset', 'policy_uri', '--json'],
    )
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    const after = await server.db.client.findUniqueOrThrow({ where: { id }, include: { secrets: true } })
    expect(after.name).toEqual({ ...(before.name as object), en: 'New name' })
    const { policy_uri: _, ...kept } = before.metadata as Record<string, unknown>
    expect(after.metadata).toEqual({ ...kept, require_pkce: false })
    expect(after.secrets.map(({ digest: stored }) => stored)).toEqual([digest(secret)])
    expect(await server.db.event.findFirst({ where: { type: 'client.updated' } })).toMatchObject({
      data: { clientId: id, profile: 'web', firstParty: false },
    })
  })

  test('refuses what the profile does not allow, with the reason, and changes nothing', async () => {
    const { id } = await givenClient(server, { authMethod: 'none' })
    const ended = await clients('update', id, '--pkce-optional')
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toMatch(/--pkce-optional: must be true for profile spa/)
    const row = await server.db.client.findUniqueOrThrow({ where: { id } })
    expect(row.metadata).toMatchObject({ require_pkce: true })
  })

  test('what it may see, vouch for and be handed are said apart, and only what is said anew changes', async () => {
    const [seen, vouched] = [(await givenConnection(server)).id, (await givenConnection(server)).id]
    const rights = async (stdout: string) => {
      const { id, connections, vouchConnections, tokenConnections } = JSON.parse(stdout).client
      const rows = await server.db.clientConnection.findMany({
        where: { clientId: id },
        orderBy: { connectionId: 'asc' },
        omit: { clientId: true },
      })
      return { connections, vouchConnections, tokenConnections, rows }
    }
    const row = (connectionId: string, discloses: boolean, vouches: boolean, handsOut: boolean) => ({
      ...{ connectionId, discloses, vouches, handsOut },
    })
    const inOrder = (...rows: ReturnType<typeof row>[]) =>
      rows.sort((a, b) => (a.connectionId < b.connectionId ? -1 : 1))
    const created = await create(
      ...(['tri', '--connection', seen, '--vouch-connection', vouched, '--token-connection', seen] as const),
      '--json',
    )
    expect(await rights(created.stdout)).toEqual({
      connections: [seen],
      vouchConnections: [vouched],
      tokenConnections: [seen],
      rows: inOrder(row(seen, true, false, true), row(vouched, false, true, false)),
    })
    const updated = await clients('update', 'tri', '--connection', vouched, '--json')
    expect(await rights(updated.stdout)).toEqual({
      connections: [vouched],
      vouchConnections: [vouched],
      tokenConnections: [seen],
      rows: inOrder(row(seen, false, false, true), row(vouched, true, true, false)),
    })
    const { stdout } = await clients('show', 'tri')
    expect(stdout).toMatch(new RegExp(`vouches for +${vouched}`))
    expect(stdout).toMatch(new RegExp(`tokens of +${seen}`))
  })
})
