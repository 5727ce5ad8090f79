import { createHash, type X509Certificate } from 'node:crypto'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import { type Peer, startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { clientCert, clientCertificate, escapedCert, otherCertificate } from '../support/certificates.ts'
import { givenFapiClient, proving } from '../support/fapi.ts'
import { type GivenClient, type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'

let server: TestApp
/** The same server where nobody has said in which header a certificate is. */
let plain: Peer
let member: GivenMember
let browser: Browser
beforeAll(async () => {
  const env = {
    TRUST_PROXY: '1',
    CLIENT_CERTIFICATE_HEADER: 'Client-Cert',
    CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Client-Verified',
  }
  server = await startTestApp({ env })
  const unset = { CLIENT_CERTIFICATE_HEADER: undefined, CLIENT_CERTIFICATE_VERIFIED_HEADER: undefined }
  plain = await server.startPeer({ config: { ...server.config, ...unset } })
  member = await givenMember(server)
  browser = openBrowser()
})
afterAll(async () => {
  await plain.close()
  await server.close()
})

type Sent = Record<string, string>

/** What the proxy in front says of a client that has shown a certificate. */
const shown = (certificate: X509Certificate, verified = 'SUCCESS'): Sent => ({
  'client-cert': clientCert(certificate),
  'x-client-verified': verified,
})

/** Asks something that needs nothing but to be the client. */
function authenticate({ id }: Pick<GivenClient, 'id'>, headers: Sent, origin = server.issuer) {
  const form = { client_id: id, token: 'nobody gave this one' }
  return post(server, '/introspect', form, { headers, origin })
}

const selfSigned = {
  authMethod: 'self_signed_tls_client_auth',
  jwks: { keys: [{ ...jwkOf(clientCertificate), x5c: [clientCertificate.raw.toString('base64')] }] },
} satisfies Partial<NewClient>

function jwkOf(certificate: X509Certificate) {
  return certificate.publicKey.export({ format: 'jwk' })
}

const known = (property: string, value: string): Partial<NewClient> => ({
  authMethod: 'tls_client_auth',
  metadata: { [`tls_client_auth_${property}`]: value },
})

const subject = 'CN=client.example.com,UID=client-1,OU=店,O=Example\\, Inc. \\+,C=JP'

describe('RFC 8705 section 2: a client shows a certificate', () => {
  let byAuthority: GivenClient
  let bySelf: GivenClient
  beforeAll(async () => {
    byAuthority = await givenClient(server, known('subject_dn', subject))
    bySelf = await givenClient(server, selfSigned)
  })

  const pem = clientCertificate.toString()
  test.each<[string, Sent]>([
    ['that is none', {}],
    ['that is empty', { 'client-cert': '' }],
    ['that is not encoded', { 'client-cert': 'certificate' }],
    [
      'of bytes that are no certificate',
      { 'client-cert': `:${Buffer.from('certificate').toString('base64')}:` },
    ],
    ['without the colons around it', { 'client-cert': clientCertificate.raw.toString('base64') }],
    ['that is cut off', { 'client-cert': `:${clientCertificate.raw.subarray(0, -9).toString('base64')}:` }],
    ['with a broken escape', { 'client-cert': `${encodeURIComponent(pem)}%` }],
    ['in PEM that is cut off', { 'client-cert': encodeURIComponent(pem.slice(0, 200)) }],
    [
      'with another one',
      { 'client-cert': `${clientCert(clientCertificate)}, ${clientCert(otherCertificate)}` },
    ],
    ['of somebody else', shown(otherCertificate)],
  ])('a certificate %s is refused', async (_, headers) => {
    for (const client of [byAuthority, bySelf]) {
      const answer = await authenticate(client, { 'x-client-verified': 'SUCCESS', ...headers })
      expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client'])
    }
  })

  test.each(['NONE', 'FAILED:self-signed certificate', 'success', ''])(
    'section 2.1: one of which the proxy says "%s" is refused, and the client that signed it itself is not',
    async (verified) => {
      expect((await authenticate(byAuthority, shown(clientCertificate, verified))).status).toBe(401)
      expect((await authenticate(bySelf, shown(clientCertificate, verified))).status).toBe(200)
    },
  )

  test('a client that has registered something else cannot use one', async () => {
    expect((await authenticate(await givenClient(server), shown(clientCertificate))).status).toBe(401)
  })

  test('where nobody has named a header, there is no such thing', async () => {
    for (const client of [byAuthority, bySelf]) {
      const { status } = await authenticate(client, shown(clientCertificate), plain.origin)
      expect([400, 401]).toContain(status)
    }
  })

  test.each([
    ['san_dns', 'other.example.com'],
    ['san_dns', 'b'],
    ['san_uri', 'https://client.example.com/a'],
    ['san_ip', '2001:db8::2'],
    ['san_ip', 'localhost'],
    ['san_email', 'ops@other.example.com'],
    ['subject_dn', 'CN=client.example.com'],
  ])('section 2.1.2: a certificate without the registered %s (%s) is refused', async (property, value) => {
    const client = await givenClient(server, known(property, value))
    expect((await authenticate(client, shown(clientCertificate))).status).toBe(401)
  })

  test.each([
    ['san_dns', 'CLIENT.example.com'],
    ['san_uri', 'https://client.example.com/a,b'],
    ['san_ip', '2001:DB8:0:0::1'],
    ['san_email', 'ops@example.com'],
    ['subject_dn', subject],
  ])('section 2.1.2: one with the registered %s (%s) is taken', async (property, value) => {
    const client = await givenClient(server, known(property, value))
    expect((await authenticate(client, shown(clientCertificate))).status).toBe(200)
  })

  test.each([
    ['RFC 9440 section 2.1', clientCert(clientCertificate)],
    ['nginx', escapedCert(clientCertificate)],
  ])('one that is passed on as by %s is taken', async (_, header) => {
    const headers = { 'client-cert': header, 'x-client-verified': 'SUCCESS' }
    for (const client of [byAuthority, bySelf]) expect((await authenticate(client, headers)).status).toBe(200)
  })
})

describe('RFC 8705 section 3: tokens that only their certificate can use', () => {
  const bound = { tls_client_certificate_bound_access_tokens: true }
  let party: RelyingParty
  let tokens: oidc.TokenEndpointResponse
  let shows: X509Certificate
  beforeAll(async () => {
    const client = await givenClient(server, { profile: 'fapi2', ...selfSigned, metadata: bound })
    party = await relyingParty(server, client, oidc.TlsClientAuth())
    party.config[oidc.customFetch] = (url, options) =>
      fetch(url, { ...options, headers: { ...options.headers, ...shown(shows, 'NONE') } } as RequestInit)
    shows = clientCertificate
    const attempt = await begin(party, { scope: 'openid offline_access' })
    const pushed = Object.fromEntries(attempt.url.searchParams)
    const url = await oidc.buildAuthorizationUrlWithPAR(party.config, pushed)
    const callback = await authorize(party, browser, member, url)
    tokens = await oidc.authorizationCodeGrant(party.config, callback, {
      pkceCodeVerifier: attempt.codeVerifier,
      expectedState: attempt.state,
      expectedNonce: attempt.nonce,
    })
  })

  const userinfo = (headers: Sent, origin = server.issuer) =>
    send(`${origin}/userinfo`, {
      headers: {
        host: new URL(server.issuer).host,
        authorization: `Bearer ${tokens.access_token}`,
        ...headers,
      },
    })

  test.each<[string, Sent]>([
    ['no certificate', {}],
    ['another certificate', shown(otherCertificate)],
    ['a certificate that cannot be read', { 'client-cert': ':x:' }],
  ])('with %s the token is refused', async (_, headers) => {
    const answer = await userinfo(headers)
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token'])
  })

  test('where nobody has named a header, the token is refused', async () => {
    expect((await userinfo(shown(clientCertificate), plain.origin)).status).toBe(401)
  })

  test('a client that proves itself in another way gets no token without a certificate', async () => {
    const client = await givenFapiClient(server, {
      metadata: { ...bound, grant_types: ['client_credentials'], response_types: [] },
    })
    const ask = async (headers: Sent) => {
      const form = { grant_type: 'client_credentials', ...(await proving(server, client)) }
      return post(server, '/token', form, { headers })
    }
    expect(await ask({})).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
    expect(await ask(shown(otherCertificate))).toMatchObject({ status: 200, json: { token_type: 'Bearer' } })
  })

  test('where nobody has named a header, a client whose tokens would have to be bound is refused', async () => {
    const client = await givenClient(server, { metadata: bound })
    const form = { token: 'nobody gave this one' }
    const answer = await post(server, '/introspect', form, { client, origin: plain.origin })
    expect([answer.status, answer.json.error]).toEqual([400, 'invalid_client_metadata'])
    expect((await post(server, '/introspect', form, { client })).status).toBe(200)
  })

  test('the refresh token is bound as its client is', async () => {
    const refresh = () => oidc.refreshTokenGrant(party.config, tokens.refresh_token ?? '')
    shows = otherCertificate
    await expect(refresh()).rejects.toMatchObject({ error: 'invalid_client' })
    shows = clientCertificate
    expect((await refresh()).access_token).not.toBe(tokens.access_token)
  })

  test('section 3.2: introspection says to which certificate it is bound', async () => {
    const hash = createHash('sha256').update(clientCertificate.raw).digest('base64url')
    const answer = await oidc.tokenIntrospection(party.config, tokens.access_token)
    expect(answer.cnf).toEqual({ 'x5t#S256': hash })
  })

  test('with its certificate the token is served', async () => {
    const answer = await userinfo(shown(clientCertificate, 'NONE'))
    expect([answer.status, answer.json.sub]).toEqual([200, member.id])
  })
})

describe('RFC 8705 section 3.3: the metadata', () => {
  const path = '/.well-known/openid-configuration'
  const methods = ['tls_client_auth', 'self_signed_tls_client_auth']
  const metadata = async (origin: string) =>
    (await send(origin + path, { headers: { host: new URL(server.issuer).host } })).json

  test('says nothing of it where nobody has named a header', async () => {
    const { token_endpoint_auth_methods_supported: supported, ...rest } = await metadata(plain.origin)
    for (const method of methods) expect(supported).not.toContain(method)
    expect(rest).not.toHaveProperty('tls_client_certificate_bound_access_tokens')
  })

  test('does not offer an authority where nobody passes on its word', async () => {
    const change = { CLIENT_CERTIFICATE_VERIFIED_HEADER: undefined }
    const peer = await server.startPeer({ config: { ...server.config, ...change } })
    const { token_endpoint_auth_methods_supported: supported } = await metadata(peer.origin)
    await peer.close()
    expect(supported).toContain('self_signed_tls_client_auth')
    expect(supported).not.toContain('tls_client_auth')
  })

  test('says so where somebody has', async () => {
    const json = await metadata(server.issuer)
    expect(json.token_endpoint_auth_methods_supported).toEqual(expect.arrayContaining(methods))
    expect(json.tls_client_certificate_bound_access_tokens).toBe(true)
  })
})
