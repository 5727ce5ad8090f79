import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { register } from '../support/registration.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const tokens = (...args: string[]) => hitotsu(['registration-tokens', ...args], environmentOf(server))
const web = { redirect_uris: ['https://rp.example.com/callback'] }

test('what cannot be is refused under its option, all of it at once, and nothing is made', async () => {
  const [faulty, endless, none] = await Promise.all([
    tokens(
      'create',
      '--label',
      'Partner!',
      '--profile',
      'web',
      '--profile',
      'admin',
      '--scope',
      'linked_accounts',
    ),
    tokens('create', '--label', 'partner', '--expires-in', '10y'),
    tokens('create', '--label', 'partner', '--max-uses', '0'),
  ])
  expect(faulty.status).toBe(2)
  for (const option of ['--label Partner!:', '--profile admin:', '--scope linked_accounts:'])
    expect(faulty.stderr).toContain(option)
  expect([endless.status, none.status]).toEqual([2, 2])
  expect(await server.db.registrationToken.count()).toBe(0)
})

test('a token is printed once, lets in what it says until it is revoked, and is never shown again', async () => {
  const made = await tokens(
    ...['create', '--label', 'partner', '--profile', 'web', '--scope', 'openid email'],
    ...['--expires-in', '1h', '--allow-no-pkce', '--max-uses', '2', '--json'],
  )
  expect(made.stderr).toBe('')
  const { token, expiresAt, ...rest } = JSON.parse(made.stdout)
  expect(rest).toMatchObject({
    label: 'partner',
    profiles: ['web'],
    scopes: ['openid', 'email'],
    allowNoPkce: true,
    maxUses: 2,
  })
  expect(Math.abs(new Date(expiresAt).getTime() - server.now().getTime() - 3_600_000)).toBeLessThan(60_000)
  const spa = await register(server, token, { ...web, token_endpoint_auth_method: 'none' })
  expect(spa.status).toBe(400)
  const client = await register(server, token, web)
  expect(client.json).toMatchObject({ scope: 'openid email', require_pkce: false })

  const [again, unknown, list] = await Promise.all([
    tokens('create', '--label', 'partner'),
    tokens('revoke', 'other'),
    tokens('list'),
  ])
  expect([again.status, unknown.status]).toEqual([1, 1])
  expect(again.stderr).toBe('error: there is a registration token partner already\n')
  expect(unknown.stderr).toBe('error: there is no registration token other\n')
  expect(list.stdout).toMatch(/partner +web +optional +1 of 2 +until/)
  expect(list.stdout).not.toContain(token)

  expect((await tokens('revoke', 'partner')).status).toBe(0)
  expect((await register(server, token, web)).status).toBe(401)
  expect(await server.db.client.count({ where: { id: String(client.json.client_id) } })).toBe(1)
  const events = await server.db.event.findMany({ where: { type: { startsWith: 'registration_token.' } } })
  expect(events.map(({ type, data }) => [type, data])).toEqual([
    ['registration_token.created', { label: 'partner' }],
    ['registration_token.revoked', { label: 'partner' }],
  ])
})

test('what is not said is careful: thirty days, no machines, no linked accounts, PKCE', async () => {
  const { stdout } = await tokens('create', '--label', 'defaults')
  expect(stdout).toMatch(/^profiles +web spa native$/m)
  expect(stdout).toMatch(/^scopes +openid offline_access profile email address phone$/m)
  expect(stdout).toMatch(/^PKCE +required$/m)
  expect(stdout).toMatch(/^clients +any number$/m)
  const row = await server.db.registrationToken.findUniqueOrThrow({ where: { label: 'defaults' } })
  expect((row.expiresAt?.getTime() ?? 0) - row.createdAt.getTime()).toBe(30 * 86_400_000)
})
