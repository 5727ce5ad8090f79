import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import { type LineSimulator, startLineSimulator } from '../../src/demo/line/server.ts'
import {
  authorizeUrl,
  botChannelId,
  call,
  callbackUrl,
  logIn,
  loginChannelId,
  obtainTokens,
  openLineBrowser,
  startSimulator,
} from '../support/line-simulator.ts'

const mainScript = new URL('../../src/demo/line/main.ts', import.meta.url)

let line: LineSimulator

beforeAll(async () => {
  line = await startSimulator()
})
beforeEach(() => line.control.reset())
afterAll(() => line.close())

const send = (path: string, json: unknown = {}, method = 'POST') =>
  call(line, `/__sim${path}`, { json, method })

describe('LINE simulator control API', () => {
  test('refuses what a page of another origin could send, and what names nobody', async () => {
    expect((await call(line, '/__sim/reset', { form: {} })).status).toBe(415)
    expect((await send('/persons/nobody/app-login')).status).toBe(404)
    expect((await send('/persons', { id: 'Not An Id', name: '' })).body.details).toHaveLength(2)
    expect((await send('/settings', { clientAuth: 'none' }, 'PATCH')).status).toBe(400)
  })

  test('the clock moves every lifetime', async () => {
    const { access_token } = await obtainTokens(line)
    const before = Date.parse(String((await call(line, '/__sim/clock')).body.now))
    const { body } = await send('/clock/advance', { seconds: 2_592_000 })
    expect(Date.parse(String(body.now)) - before).toBeGreaterThanOrEqual(2_592_000_000)
    const verified = await call(line, `/oauth2/v2.1/verify?access_token=${access_token}`)
    expect(verified.body.error_description).toBe('The access token expired')
  })

  test('persons, providers and channels can be added, and channels changed', async () => {
    await send('/providers', { id: 'provider-b', name: 'Provider B' })
    const { body: person } = await send('/persons', { id: 'person-d', name: 'LINE Person D' })
    expect(Object.keys(person.userIds as object)).toEqual(['provider-a', 'provider-b'])
    await send(`/channels/${loginChannelId}`, { callbackUrls: ['http://other.example.com/cb'] }, 'PATCH')
    const params = { redirect_uri: 'http://other.example.com/cb' }
    expect((await logIn(line, { person: 'person-d', params })).searchParams.has('code')).toBe(true)
    expect((await send(`/channels/${loginChannelId}`, { secret: 'short' }, 'PATCH')).status).toBe(400)
  })

  test('a person signed in to the app with a planned consent logs in without any screen', async () => {
    await send('/persons/person-b/app-login')
    await send('/persons/person-b/next-consent', { allow: false })
    const visit = async () => new URL((await openLineBrowser(line.url).open(authorizeUrl(line))).url)
    expect((await visit()).searchParams.get('error')).toBe('ACCESS_DENIED')
    await send('/persons/person-b/next-consent', { allow: true })
    expect((await visit()).searchParams.has('code')).toBe(true)
    await send('/persons/person-b/app-logout')
    expect((await visit()).origin).toBe(line.url)
  })

  test('a person removes the app in LINE: tokens die at once, and consent is asked again', async () => {
    const { access_token } = await obtainTokens(line)
    expect((await send('/persons/person-a/revoke', { channelId: loginChannelId })).status).toBe(204)
    const verified = await call(line, `/oauth2/v2.1/verify?access_token=${access_token}`)
    expect(verified.body.error_description).toBe('The access token revoked')
    expect((await call(line, '/__sim/persons/person-a')).body.consents).toEqual([])
  })

  test('a relation is set, and what was issued can be read', async () => {
    await send('/relations', { channelId: botChannelId, personId: 'person-a', relation: 'friend' })
    const { body } = await call(line, '/__sim/persons/person-a')
    expect(body.relations).toEqual({ [botChannelId]: 'friend' })
    await obtainTokens(line)
    expect(Object.values((await call(line, '/__sim/codes')).body)).toMatchObject([{ personId: 'person-a' }])
    expect((await call(line, '/__sim/tokens')).body).toMatchObject({ access: [{ kind: 'web' }], channel: [] })
  })

  test('a new signing key is used at once, and the earlier ones stay published', async () => {
    const { kid } = (await send('/signing-keys')).body
    const { id_token } = await obtainTokens(line, {}, { id_token_key_type: 'JWK' })
    expect(decodeProtectedHeader(id_token).kid).toBe(kid)
    expect((await call(line, '/oauth2/v2.1/certs')).body.keys).toHaveLength(4)
  })

  test('failures come as often as ordered, before the call or after it was carried out', async () => {
    await send('/failures', { pathPrefix: '/oauth2/v3/token', status: 429, remaining: 2 })
    const statuses = []
    for (let index = 0; index < 3; index++) {
      statuses.push((await call(line, '/oauth2/v3/token', { form: {} })).status)
    }
    expect(statuses).toEqual([429, 429, 400])

    await send('/failures', { pathPrefix: '/oauth2/v2.1/token', moment: 'after' })
    await expect(obtainTokens(line)).rejects.toThrow('Internal server error')
    expect(Object.keys(line.simulator.state.accessTokens)).toHaveLength(1)

    await send('/failures', { pathPrefix: '/v2/profile', resetConnection: true })
    await expect(call(line, '/v2/profile')).rejects.toThrow('fetch failed')
  })

  test('a seed makes every issued value repeatable', async () => {
    const codes = []
    for (let index = 0; index < 2; index++) {
      await send('/reset', { seed: { ...defaultSeed([callbackUrl]), random: 'a seed' } })
      codes.push((await logIn(line)).searchParams.get('code'))
    }
    expect(codes[0]).toBe(codes[1])
  })
})

describe('LINE simulator process', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'line-'))
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  })

  test('refuses production unless forced', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    await expect(startLineSimulator({ port: 0 })).rejects.toThrow('refuses to run')
    await (await startLineSimulator({ port: 0, force: true })).close()
  })

  test('a second start finds what the first one issued', async () => {
    const statePath = join(folder, 'state', 'line.json')
    const options = { port: 0, seed: defaultSeed([callbackUrl]), statePath }
    const first = await startLineSimulator(options)
    const { access_token, id_token } = await obtainTokens(first, {}, { id_token_key_type: 'JWK' })
    expect(existsSync(statePath)).toBe(true)
    await first.close()

    const second = await startLineSimulator(options)
    expect((await call(second, `/oauth2/v2.1/verify?access_token=${access_token}`)).status).toBe(200)
    const { keys } = (await call(second, '/oauth2/v2.1/certs')).body
    expect(JSON.stringify(keys)).toContain(decodeProtectedHeader(id_token).kid)
    await second.close()
  })

  test('runs alone, with its settings in the environment, until it is told to stop', async () => {
    const child = spawn(process.execPath, [fileURLToPath(mainScript)], {
      env: { LINE_SIMULATOR_PORT: '0', LINE_SIMULATOR_ISSUER: 'https://access.line.me' },
    })
    const [line] = await once(child.stdout, 'data')
    const url = String(line).replace('LINE simulator at ', '').trim()
    const discovery = await (await fetch(`${url}/.well-known/openid-configuration`)).json()
    expect(discovery).toMatchObject({
      issuer: 'https://access.line.me',
      token_endpoint: `${url}/oauth2/v2.1/token`,
    })
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
