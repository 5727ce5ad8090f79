import { afterAll, beforeAll, expect, test } from 'vitest'
import { metadataFaults } from '../../src/cli/client-metadata.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { algorithms } from '../../src/oidc/keys/plan.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { send } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const keys = (...args: string[]) => hitotsu(['keys', ...args], environmentOf(server))
/** As the running server publishes them, after it has looked. */
async function published(): Promise<string[]> {
  await server.app.engine.refresh()
  const { json } = await send(`${server.issuer}/jwks`)
  return (json.keys as { kid: string }[]).map(({ kid }) => kid)
}
const eventsOf = async (kid: string) => {
  const where = { data: { path: ['kid'], equals: kid } }
  const events = await server.db.event.findMany({ where, orderBy: { position: 'asc' } })
  return events.map(({ type }) => type)
}
const kidOf = (alg: string) => server.db.signingKey.findFirstOrThrow({ where: { alg, position: 0 } })

test('what cannot be understood changes nothing', async () => {
  const before = await server.db.signingKey.count()
  const ended = await keys('rotate', '--now', '--activate-in', '15m')
  expect([ended.status, ended.stderr]).toEqual([2, 'error: --now and --activate-in exclude each other\n'])
  expect(await server.db.signingKey.count()).toBe(before)
})

test('the only key that signs is not taken away', async () => {
  const { kid } = await kidOf('PS256')
  const [destroyed, unknown] = await Promise.all([keys('destroy', kid), keys('destroy', 'nobody')])
  const reason = [
    `error: ${kid} is the only key that signs PS256`,
    'error: make another first: hitotsu keys rotate --alg PS256, with --now in an emergency',
  ]
  expect([destroyed.status, destroyed.stderr]).toEqual([1, `${reason.join('\n')}\n`])
  expect([unknown.status, unknown.stderr]).toEqual([1, 'error: there is no signing key nobody\n'])
  expect(await published()).toContain(kid)
})

test('list shows one key that signs for each algorithm, and nothing secret', async () => {
  const [text, json] = await Promise.all([keys('list'), keys('list', '--json')])
  expect(text.stdout.split('\n')[0]).toMatch(/^KID +ALGORITHM +STATE +MADE +SIGNS FROM$/)
  expect(text.stdout.match(/ signing /g)).toHaveLength(4)
  const listed = JSON.parse(json.stdout)
  expect(listed.map(({ alg, state, signs }: Record<string, unknown>) => [alg, state, signs])).toEqual(
    ['ES256', 'RS256', 'PS256', 'EdDSA'].map((alg) => [alg, 'active', true]),
  )
  expect(Object.keys(listed[0]).sort()).toEqual([
    'activeFrom',
    'alg',
    'createdAt',
    'destroyedAt',
    'kid',
    'position',
    'retiredAt',
    'signs',
    'state',
  ])
})

test('rotate publishes a new key of each algorithm now and lets it sign after ten minutes', async () => {
  const before = await published()
  const ended = await keys('rotate')
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(ended.stdout).toMatch(/Published at every process within a second\. They sign from .* UTC on\.\n$/)
  const made = await server.db.signingKey.findMany({ where: { position: 1 } })
  expect(made).toHaveLength(4)
  for (const { createdAt, activeFrom } of made) expect(+activeFrom - +createdAt).toBe(600_000)
  expect(await published()).toHaveLength(before.length + 4)
})

test('a key that leaked is exchanged at once and ended', async () => {
  const { kid } = await kidOf('EdDSA')
  const rotated = await keys('rotate', '--alg', 'EdDSA', '--now', '--json')
  const [made] = JSON.parse(rotated.stdout)
  expect(made).toMatchObject({ alg: 'EdDSA', state: 'active', signs: true })
  const destroyed = await keys('destroy', kid)
  expect(destroyed).toMatchObject({ status: 0, stderr: '' })
  expect(destroyed.stdout).toMatch(
    new RegExp(`^The signing key ${kid} is now destroyed \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC\\.\n$`),
  )
  expect(await published()).not.toContain(kid)
  expect(await published()).toContain(made.kid)
  expect(await server.db.signingKey.findUnique({ where: { kid } })).toMatchObject({ sealedPrivate: null })
  expect(await eventsOf(kid)).toContain('signing_key.destroyed')
})

test('retire takes a key that waits for its time back', async () => {
  const where = { alg: 'RS256', activeFrom: { gt: server.now() } }
  const { kid } = await server.db.signingKey.findFirstOrThrow({ where })
  const ended = await keys('retire', kid, '--json')
  expect(JSON.parse(ended.stdout)).toMatchObject({ kid, state: 'retired', signs: false, changed: true })
  expect(await published()).toContain(kid)
})

test.each(algorithms)('a client can be registered for ID tokens with %s', async (idTokenSigningAlg) => {
  const name = { ja: '店', en: 'Shop' }
  const redirectUris = ['https://rp.example.com/callback']
  const client = newClient.parse({ id: 'shop', name, redirectUris, idTokenSigningAlg })
  expect(await metadataFaults({}, client)).toEqual([])
})

test('secrets status says whether an older sealing key is still needed', async () => {
  const { SECRET_KEYS = '', ...env } = environmentOf(server)
  const newer = 'a newer key of thirty-two characters or more'
  const [both, wrong] = await Promise.all([
    hitotsu(['secrets', 'status'], { ...env, SECRET_KEYS: `${newer},${SECRET_KEYS}` }),
    hitotsu(['secrets', 'status'], { ...env, SECRET_KEYS: newer }),
  ])
  expect(both.status).toBe(0)
  expect(both.stdout).toMatch(/^WHAT +SEALED +BY AN OLDER KEY +NOT READABLE +RESEALED\n/)
  expect(both.stdout).toContain('The older keys are still needed')
  expect([wrong.status, wrong.stderr]).toEqual([
    1,
    expect.stringContaining('the keys at hand do not open what the server has sealed'),
  ])
})
