import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { send } from '../support/post.ts'

const path = '/.well-known/openid-configuration'

let server: TestApp
let host: string
beforeAll(async () => {
  // A trusted proxy may tell where a request comes from, but not where this server is.
  server = await startTestApp({ env: { TRUST_PROXY: '1' } })
  host = new URL(server.issuer).host
})
afterAll(() => server.close())

/** The first line of the answer to a request that no client library would write. */
function firstLine(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.issuer).port), 'localhost', () => socket.write(request))
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().split('\r\n')[0] ?? '')
    })
    socket.once('error', reject)
  })
}

describe('where this server is, is configured and never asked', () => {
  test.each([path, '/jwks', '/authorize', '/'])(
    '%s of another host is misdirected (RFC 9110 15.5.20)',
    async (at) => {
      const answer = await send(server.issuer + at, { headers: { host: 'evil.example' } })
      expect(answer.status).toBe(421)
      expect(answer.text).not.toContain('evil.example')
    },
  )

  test.each([
    ['two hosts', `GET ${path} HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n`],
    ['a host with a user name', `GET ${path} HTTP/1.1\r\nHost: evil.example:x@HOST\r\n\r\n`],
    ['a target on another host', `GET http://evil.example${path} HTTP/1.1\r\nHost: HOST\r\n\r\n`],
  ])('%s is refused (RFC 9112 section 3.2)', async (_, request) => {
    expect(await firstLine(request.replace('HOST', host))).toMatch(/^HTTP\/1.1 4(00|21) /)
  })

  test.each([
    { 'x-forwarded-host': 'evil.example' },
    { 'x-forwarded-proto': 'https' },
    { forwarded: 'host=evil.example;proto=https' },
    { 'x-forwarded-port': '8443', 'x-original-host': 'evil.example', 'x-host': 'evil.example' },
  ])('%j changes nothing', async (headers) => {
    const [plain, spoofed] = await Promise.all([
      send(server.issuer + path),
      send(server.issuer + path, { headers }),
    ])
    expect(spoofed.json).toEqual(plain.json)
  })
})

describe('OpenID Connect Discovery 1.0 section 3: the metadata', () => {
  test('offers nothing that RFC 9700 takes away', async () => {
    const { json } = await send(server.issuer + path)
    expect(json.response_types_supported).toEqual(['code', 'none'])
    expect(json.grant_types_supported).not.toContain('implicit')
    expect(json.grant_types_supported).not.toContain('password')
    const algorithms = Object.entries(json).filter(([name]) => name.includes('_alg_'))
    expect(algorithms.flat(2).filter((alg) => /^(HS|none)/.test(String(alg)))).toEqual([])
  })

  test('names the issuer and every endpoint under it', async () => {
    const { status, headers, json } = await send(server.issuer + path)
    expect(status).toBe(200)
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(json).toMatchObject({
      issuer: server.issuer,
      authorization_endpoint: `${server.issuer}/authorize`,
      token_endpoint: `${server.issuer}/token`,
      userinfo_endpoint: `${server.issuer}/userinfo`,
      jwks_uri: `${server.issuer}/jwks`,
      introspection_endpoint: `${server.issuer}/introspect`,
      revocation_endpoint: `${server.issuer}/revoke`,
      end_session_endpoint: `${server.issuer}/sign-out`,
      pushed_authorization_request_endpoint: `${server.issuer}/par`,
      scopes_supported: [
        'openid',
        'offline_access',
        'upstream_tokens',
        'profile',
        'email',
        'address',
        'phone',
        'linked_accounts',
      ],
      claims_parameter_supported: true,
      request_uri_parameter_supported: false,
      authorization_response_iss_parameter_supported: true,
      code_challenge_methods_supported: ['S256'],
    })
    const endpoints = Object.entries(json).filter(([name]) => /_(endpoint|uri)$/.test(name))
    for (const [, url] of endpoints) expect(String(url).startsWith(`${server.issuer}/`)).toBe(true)
  })

  test('section 3: ES256, RS256, PS256 and EdDSA sign, the last under its name of RFC 9864 as well', async () => {
    const { json } = await send(server.issuer + path)
    const algorithms = [...(json.id_token_signing_alg_values_supported as string[])].sort()
    expect(algorithms).toEqual(['ES256', 'Ed25519', 'EdDSA', 'PS256', 'RS256'])
  })

  test('any relying party in a browser may read it', async () => {
    for (const at of [path, '/jwks']) {
      const { headers } = await send(server.issuer + at, { headers: { origin: 'https://shop.example.com' } })
      expect(headers['access-control-allow-origin']).toBe('https://shop.example.com')
    }
  })
})

describe('RFC 7517: the published keys', () => {
  test('hold no private part', async () => {
    const { json, text } = await send(`${server.issuer}/jwks`)
    const publicMembers = ['alg', 'crv', 'e', 'kid', 'kty', 'n', 'use', 'x', 'y']
    for (const key of json.keys as object[])
      expect(publicMembers).toEqual(expect.arrayContaining(Object.keys(key)))
    expect(text).not.toMatch(/"(d|p|q|dp|dq|qi|k)":/)
  })

  test('are one for each algorithm, told apart by kid, and RSA has 2048 bits', async () => {
    const { json } = await send(`${server.issuer}/jwks`)
    const keys = json.keys as Record<string, string>[]
    // The last is for EdDSA and Ed25519, two names of one algorithm (RFC 9864 section 2.2).
    expect(keys.map(({ alg, crv }) => alg ?? crv)).toEqual(['ES256', 'RS256', 'PS256', 'Ed25519'])
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(4)
    for (const { n = '' } of [keys[1] ?? {}, keys[2] ?? {}])
      expect(Buffer.from(n, 'base64url')).toHaveLength(256)
  })

  test('are the same at every process', async () => {
    const peer = await server.startPeer()
    const [own, theirs] = await Promise.all([
      send(`${server.issuer}/jwks`),
      send(`${peer.origin}/jwks`, { headers: { host } }),
    ])
    await peer.close()
    expect(theirs.json).toEqual(own.json)
  })
})
