import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type ClientDocuments, startClientDocuments } from '../support/client-documents.ts'
import { type GivenMember, givenMember } from '../support/given.ts'
import { post } from '../support/post.ts'
import { changed, givenRegistrationToken, manage, register } from '../support/registration.ts'
import { begin, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let documents: ClientDocuments
let member: GivenMember
let token: string
beforeAll(async () => {
  documents = await startClientDocuments()
  server = await startTestApp({ privateHosts: [documents.host] })
  member = await givenMember(server)
  token = await givenRegistrationToken(server)
})
afterAll(() => Promise.all([server.close(), documents.close()]))

const redirectUri = 'https://rp.example.com/callback'
const web = (changes: object = {}) => ({ redirect_uris: [redirectUri], ...changes })

describe('OpenID Connect Dynamic Client Registration 1.0 section 5: sector_identifier_uri', () => {
  const others = ['https://rp.example.com/callback', 'https://rp.example.org/callback']
  const sector = (path: string) => ({ sector_identifier_uri: `${documents.origin}${path}` })
  const pairwise = { subject_type: 'pairwise', redirect_uris: others }

  test.each<[string, { body: unknown; status?: number; headers?: Record<string, string> } | undefined]>([
    ['is not there', undefined],
    ['lists one of its redirect URIs', { body: others.slice(0, 1) }],
    ['lists others', { body: ['https://other.example.com/callback'] }],
    ['is no list', { body: { redirect_uris: others } }],
    ['lists what is no text', { body: [...others, 1] }],
    ['is not JSON', { body: '<html>' }],
    ['fails', { body: others, status: 500 }],
    ['is elsewhere', { body: '', status: 302, headers: { location: '/sector-good' } }],
    ['does not end', { body: `["${'x'.repeat(300_000)}"]` }],
  ])('a document that %s is refused', async (name, page) => {
    documents.pages.set('/sector-good', { body: others })
    const path = `/sector-${encodeURIComponent(name)}`
    if (page) documents.pages.set(path, page)
    const answer = await register(server, token, { ...pairwise, ...sector(path) })
    expect(answer.status).toBe(400)
    expect(answer.json.error).toMatch(/^invalid_(client_metadata|redirect_uri)$/)
  })

  test.each([
    ['over http', 'http://localhost:1/sector'],
    ['that is inside', 'https://127.0.0.1:1/sector'],
    ['of no host', 'file:///etc/passwd'],
  ])('one %s is not fetched', async (_, uri) => {
    const answer = await register(server, token, { ...pairwise, sector_identifier_uri: uri })
    expect(answer.status).toBe(400)
    expect(answer.json.error).toBe('invalid_client_metadata')
  })

  test('redirect URIs of several hosts are no sector without one', async () => {
    const answer = await register(server, token, pairwise)
    expect(answer.json.error_description).toContain('sector_identifier_uri')
  })

  test('it is fetched when a client registers or changes, and never again: its host may be away', async () => {
    documents.pages.set('/sector', { body: others })
    const { status, json } = await register(server, token, { ...pairwise, ...sector('/sector') })
    expect(status).toBe(201)
    documents.pages.delete('/sector')
    const asked = documents.requests.length
    const client = {
      id: String(json.client_id),
      secret: String(json.client_secret),
      redirectUri: others[1] ?? '',
    }
    const party = await relyingParty(server, client, undefined, { id_token_signed_response_alg: 'RS256' })
    await signIn(party, openBrowser(), member)
    const peer = await server.startPeer()
    expect(
      (await post(server, '/introspect', { token: 'none' }, { client, origin: peer.origin })).status,
    ).toBe(200)
    await peer.close()
    expect((await manage(json, 'GET')).status).toBe(200)
    expect(documents.requests.length).toBe(asked)

    expect((await manage(json, 'PUT', changed(json, { client_name: 'New' }))).status).toBe(400)
    documents.pages.set('/sector', { body: others })
    expect((await manage(json, 'PUT', changed(json, { client_name: 'New' }))).status).toBe(200)
  })
})

describe('OpenID Connect Dynamic Client Registration 1.0 section 2: what a client says of itself', () => {
  test.each([
    ['http', 'http://rp.example.com/login'],
    ['javascript', 'javascript:alert(1)'],
  ])('initiate_login_uri is refused as %s', async (_, uri) => {
    const answer = await register(server, token, web({ initiate_login_uri: uri }))
    expect(answer.json.error).toBe('invalid_client_metadata')
  })

  test('initiate_login_uri (OpenID Connect Core section 4) is kept', async () => {
    const uri = 'https://rp.example.com/login?from=op'
    const { status, json } = await register(server, token, web({ initiate_login_uri: uri }))
    expect([status, json.initiate_login_uri]).toEqual([201, uri])
    const row = await server.db.client.findUniqueOrThrow({ where: { id: String(json.client_id) } })
    expect(row.metadata).toMatchObject({ initiate_login_uri: uri })
  })

  test.each(['web', 'spa', 'native'])(
    'an ID token of a client that does not say is signed with RS256: %s',
    async (profile) => {
      const { json } = await register(server, token, web({ profile }))
      expect(json).toMatchObject({ profile, id_token_signed_response_alg: 'RS256' })
      const { client_id: id, client_secret: secret = '' } = json
      const client = { id: String(id), secret: String(secret), redirectUri }
      const party = await relyingParty(server, client, undefined, { id_token_signed_response_alg: 'RS256' })
      const { id_token: idToken = '' } = await signIn(party, openBrowser(), member)
      expect(JSON.parse(Buffer.from(idToken.split('.')[0] ?? '', 'base64url').toString()).alg).toBe('RS256')
    },
  )

  test('a FAPI client keeps to what FAPI allows', async () => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    const jwks = { keys: [await exportJWK(publicKey)] }
    const { status, json } = await register(server, token, web({ profile: 'fapi2', jwks }))
    expect(status).toBe(201)
    expect(json).toMatchObject({
      id_token_signed_response_alg: 'ES256',
      dpop_bound_access_tokens: true,
      require_pushed_authorization_requests: true,
    })
  })

  test('a redirect URI is compared with its query', async () => {
    const uri = `${redirectUri}?tenant=1`
    const { json } = await register(server, token, web({ redirect_uris: [uri] }))
    expect(json.redirect_uris).toEqual([uri])
    const client = { id: String(json.client_id), secret: String(json.client_secret) }
    for (const [wanted, answered] of [
      [uri, 200],
      [redirectUri, 400],
      [`${uri}&more=1`, 400],
      [`${redirectUri}?tenant=2`, 400],
    ] as const) {
      const party = await relyingParty(server, { ...client, redirectUri: wanted })
      expect((await openBrowser().open((await begin(party)).url)).status, wanted).toBe(answered)
    }
  })

  test('a client that may go without PKCE does', async () => {
    const lenient = await givenRegistrationToken(server, { allowNoPkce: true })
    for (const [initial, lands] of [
      [token, false],
      [lenient, true],
    ] as const) {
      const { json } = await register(server, initial, web())
      const client = { id: String(json.client_id), secret: String(json.client_secret), redirectUri }
      const party = await relyingParty(server, client)
      const browser = openBrowser()
      browser.stopAt(redirectUri)
      const { url } = await begin(party, { code_challenge: '', code_challenge_method: '' })
      expect((await browser.open(url)).url.pathname.startsWith('/interaction/')).toBe(lands)
    }
  })
})

describe('OpenID Connect Core 1.0 section 10.1.1: keys at jwks_uri', () => {
  const key = async (kid: string) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } }
  }
  type Key = Awaited<ReturnType<typeof key>>
  const publish = (path: string, ...keys: JWK[]) =>
    documents.pages.set(path, { body: { keys }, headers: { 'cache-control': 'max-age=86400' } })

  async function authenticate(clientId: string, { kid, privateKey }: Key) {
    const assertion = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(server.issuer)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(privateKey)
    const form = {
      client_id: clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
      token: 'nobody gave this one',
    }
    return (await post(server, '/introspect', form)).status
  }

  const given = async (path: string) => {
    const keyed = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `${documents.origin}${path}` }
    return String((await register(server, token, web(keyed))).json.client_id)
  }

  test('one that nobody publishes is refused, and makes nobody ask again and again', async () => {
    const [first, unknown] = [await key('first'), await key('unknown')]
    publish('/keys-known', first.jwk)
    const id = await given('/keys-known')
    expect(await authenticate(id, first)).toBe(200)
    for (let round = 0; round < 5; round += 1) expect(await authenticate(id, unknown)).toBe(401)
    expect(documents.requests.filter((path) => path === '/keys-known').length).toBe(2)
  })

  test('a new one is honored at once, whatever the copy of the old ones may still be good for', async () => {
    const [first, second] = [await key('first'), await key('second')]
    publish('/keys-rotated', first.jwk)
    const id = await given('/keys-rotated')
    expect(await authenticate(id, first)).toBe(200)
    publish('/keys-rotated', second.jwk)
    expect(await authenticate(id, second)).toBe(200)
    expect(await authenticate(id, first)).toBe(401)
  })

  test('while they cannot be fetched, the client is refused', async () => {
    const id = await given('/keys-away')
    expect(await authenticate(id, await key('any'))).toBe(401)
  })
})
