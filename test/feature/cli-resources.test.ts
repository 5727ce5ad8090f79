import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { environmentOf, hitotsu } from '../support/cli.ts'
import { givenClient, givenResource } from '../support/given.ts'
import { post } from '../support/post.ts'

let server: TestApp
beforeAll(async () => {
  server = await startTestApp()
})
afterAll(() => server.close())

const run = (...args: string[]) => hitotsu(args, environmentOf(server))
const api = 'https://api.example.com'

describe('resources create', () => {
  test('names every fault at once, under its option, and stores nothing', async () => {
    const faulty = ['--id', 'http://api.example.com', '--scope', 'orders:read openid', '--ttl', '3600']
    const ended = await run('resources', 'create', ...faulty)
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr.trim().split('\n').sort()).toEqual([
      'error: --id http://api.example.com: must be https or a urn',
      'error: --name-ja or --name-en is required',
      'error: --scope openid: is a scope of OpenID Connect',
    ])
    const [lasting, unknown] = await Promise.all([
      run('resources', 'create', '--id', api, '--name-en', 'Orders', '--scope', 'a', '--ttl', '3600'),
      run('resources', 'create', '--id', api, '--name-en', 'Orders', '--scope', 'a', '--introspector', 'x'),
    ])
    expect(lasting.stderr).toBe('error: --ttl: a JWT cannot be taken back: at most 600 seconds\n')
    expect(unknown).toMatchObject({ status: 1, stderr: 'error: --introspector x: there is no such client\n' })
    expect(await server.db.resource.count()).toBe(0)
  })

  test('a client that is registered for it gets tokens from a running server', async () => {
    const created = await run(
      ...['resources', 'create', '--id', api, '--name-ja', '注文API', '--name-en', 'Orders API'],
      ...['--scope', 'orders:read orders:write', '--ttl', '300', '--json'],
    )
    expect(created.stderr).toBe('')
    expect(JSON.parse(created.stdout)).toMatchObject({
      id: api,
      scopes: ['orders:read', 'orders:write'],
      tokenFormat: 'jwt',
      tokenTtl: 300,
      disabledAt: null,
    })
    const machine = ['clients', 'create', '--id', 'batch', '--name-en', 'Batch', '--profile', 'machine']
    const refused = await run(
      ...machine,
      '--resource',
      `${api}=orders:burn`,
      '--resource',
      'https://x.example',
    )
    expect(refused).toMatchObject({
      status: 1,
      stderr:
        'error: --resource https://x.example: there is no such resource\n' +
        `error: --resource ${api}: it has no scope orders:burn\n`,
    })
    const { client, secret } = JSON.parse(
      (await run(...machine, '--resource', `${api}=orders:read`, '--json')).stdout,
    )
    expect(client.resources).toEqual([{ id: api, scopes: ['orders:read'] }])
    const form = { grant_type: 'client_credentials', scope: 'orders:read orders:write' }
    const { json } = await post(server, '/token', form, { client: { id: 'batch', secret, redirectUri: '' } })
    expect(json).toMatchObject({ scope: 'orders:read', expires_in: 300 })
  })
})

describe('resources list, show, disable, enable', () => {
  test('what does not exist is refused; what was done already changes nothing', async () => {
    const id = await givenResource(server)
    const client = await givenClient(server, { profile: 'machine', resources: [{ id }] })
    const grant = async () =>
      (await post(server, '/token', { grant_type: 'client_credentials' }, { client })).json.error
    expect(await run('resources', 'show', 'https://x.example')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'error: there is no resource https://x.example\n',
    })
    expect(await run('resources', 'disable', id)).toMatchObject({ status: 0, stderr: '' })
    await expect.poll(grant, { timeout: 5_000 }).toBe('invalid_target')
    expect(JSON.parse((await run('resources', 'disable', id, '--json')).stdout).changed).toBe(false)
    const [list, shown] = await Promise.all([run('resources', 'list'), run('resources', 'show', id)])
    expect(list.stdout).toMatch(new RegExp(`${id} .*disabled `))
    expect(shown.stdout).toMatch(/scopes +orders:read orders:write/)
    expect(await run('resources', 'enable', id)).toMatchObject({ status: 0, stderr: '' })
    await expect.poll(grant, { timeout: 5_000 }).toBeUndefined()
  })
})
