import { randomUUID } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import {
  type Changes,
  type KeyPair,
  newKeys,
  publicKeys,
  requestObject,
  requestOf,
  seconds,
} from '../support/fapi.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, redeem, relyingParty } from '../support/relying-party.ts'

type Party = RelyingParty & { keys: KeyPair }

let server: TestApp
let member: GivenMember
let browser: Browser
let party: Party
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  browser = openBrowser()
  party = await partyWith(await newKeys())
})
afterAll(() => server.close())

/** An ordinary client that has registered a key. */
async function partyWith(keys: KeyPair, authMethod?: 'private_key_jwt'): Promise<Party> {
  const jwks = await publicKeys([keys, 'ES256'])
  const client = await givenClient(server, { jwks, ...(authMethod && { authMethod }) })
  return { ...(await relyingParty(server, client)), keys }
}

function addressOf(request: string, beside: Record<string, string> = {}): string {
  const needed = {
    client_id: party.id,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: party.redirectUri,
  }
  return `${server.issuer}/authorize?${new URLSearchParams({ ...needed, ...beside, request })}`
}

/** The error that a request is refused with, at the address the client has registered. */
async function refusal(url: string): Promise<string | null> {
  const { headers } = await send(url)
  const target = new URL(String(headers.location))
  expect(target.origin + target.pathname).toBe(party.redirectUri)
  expect(target.searchParams.get('iss')).toBe(server.issuer)
  return target.searchParams.get('error')
}

const signed = async (changes: Changes = {}, parameters: Record<string, string> = {}) =>
  requestObject(server, party, await requestOf(party, parameters), changes)

describe('RFC 9101: signed authorization requests', () => {
  test('section 10.2: one that is not signed is refused', async () => {
    const unsigned = new UnsecuredJWT({ ...(await requestOf(party)), aud: server.issuer, iss: party.id })
    expect(await refusal(addressOf(unsigned.encode()))).toBe('invalid_request_object')
  })

  test('section 6.2: one signed with the secret is refused, which nobody here knows', async () => {
    const claims = { ...(await requestOf(party)), aud: server.issuer, iss: party.id }
    const request = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' })
    const url = addressOf(await request.sign(Buffer.from(party.secret)))
    expect(await refusal(url)).toBe('invalid_request_object')
  })

  test.each<[string, () => Promise<string>]>([
    ['that is none', async () => 'a.b.c'],
    ['signed with another key', async () => signed({ pair: await newKeys() })],
    ['for another server', () => signed({ payload: { aud: 'https://other.example.com' } })],
    ['of another client', () => signed({ payload: { iss: 'another-client' } })],
    ['that names another client', () => signed({ payload: { client_id: 'another-client' } })],
    ['that has expired', () => signed({ payload: { exp: seconds(-60) } })],
    ['that is not good yet', () => signed({ payload: { nbf: seconds(60), exp: seconds(120) } })],
    ['for another response type', () => signed({}, { response_type: 'none' })],
    ['with another request in it', () => signed({}, { request: 'a.b.c' })],
    ['with the address of another in it', () => signed({}, { request_uri: 'urn:x' })],
  ])('section 6: one %s is refused', async (_, make) => {
    expect(await refusal(addressOf(await make()))).toBe('invalid_request_object')
  })

  test('RFC 9126 section 2.2: one that has just expired is refused when pushed: its address would be good for no time', async () => {
    const push = async (exp: number) => {
      const request = await signed({ payload: { nbf: undefined, exp } })
      return post(server, '/par', { request }, { client: party })
    }
    expect(await push(seconds(-2))).toMatchObject({ status: 400, json: { error: 'invalid_request_object' } })
    expect((await push(seconds(30))).json.expires_in).toBeLessThanOrEqual(30)
  })

  test('section 10.8: one with the client as its subject is refused: it would pass for its assertion', async () => {
    expect(await refusal(addressOf(await signed({ payload: { sub: party.id } })))).toBe(
      'invalid_request_object',
    )
  })

  test('section 10.8: a request object is no client assertion', async () => {
    const client = await partyWith(await newKeys(), 'private_key_jwt')
    const claims = { iss: client.id, sub: client.id, aud: server.issuer, exp: seconds(60) }
    const answer = async (typ: string) => {
      const assertion = new SignJWT({ ...claims, jti: randomUUID() }).setProtectedHeader({
        alg: 'ES256',
        typ,
      })
      return post(server, '/introspect', {
        client_id: client.id,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: await assertion.sign(client.keys.privateKey),
        token: 'nobody gave this one',
      })
    }
    expect((await answer('oauth-authz-req+jwt')).status).toBe(401)
    expect((await answer('JWT')).status).toBe(200)
  })

  test('section 5.2: one that we would have to fetch is refused', async () => {
    const parameters = { ...(await requestOf(party)), request_uri: 'https://shop.example.com/request.jwt' }
    const url = `${server.issuer}/authorize?${new URLSearchParams(parameters)}`
    expect(await refusal(url)).toBe('request_uri_not_supported')
  })

  test('section 5: a request and the address of one are not for the same call', async () => {
    const url = addressOf(await signed(), { request_uri: 'urn:ietf:params:oauth:request_uri:x' })
    expect(await refusal(url)).toBe('invalid_request')
  })

  test('section 6.3: what stands beside it is not asked for', async () => {
    const attempt = await begin(party)
    const parameters = Object.fromEntries(attempt.url.searchParams)
    const beside = { scope: 'openid email profile', state: 'beside', nonce: 'beside' }
    const url = new URL(addressOf(await requestObject(server, party, parameters), beside))
    const callback = await authorize(party, browser, member, url)
    expect((await redeem(party, callback, attempt)).scope).toBe('openid')
  })

  test('a client that has to sign cannot do without', async () => {
    const metadata = { require_signed_request_object: true }
    const jwks = await publicKeys([await newKeys(), 'ES256'])
    const client = await givenClient(server, { jwks, metadata })
    const { headers } = await send((await begin(await relyingParty(server, client))).url)
    expect(new URL(String(headers.location)).searchParams.get('error')).toBe('invalid_request')
  })

  test('section 6: a relying party that signs its request signs its member in, also when the page is loaded again', async () => {
    const attempt = await begin(party)
    const parameters = Object.fromEntries(attempt.url.searchParams)
    const key = party.keys.privateKey
    const url = await oidc.buildAuthorizationUrlWithJAR(party.config, parameters, key)
    await authorize(party, browser, member, url)
    const callback = await authorize(party, browser, member, url)
    expect((await redeem(party, callback, attempt)).claims()?.sub).toBe(member.id)
  })

  test('section 10.5: the metadata says what is taken', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    expect(json).toMatchObject({ request_parameter_supported: true, request_uri_parameter_supported: false })
    expect(json.request_object_signing_alg_values_supported).toEqual(
      expect.arrayContaining(['ES256', 'PS256']),
    )
    expect(json.request_object_signing_alg_values_supported).not.toContain('none')
  })
})
