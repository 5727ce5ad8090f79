import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Algorithm } from '../../src/oidc/keys/plan.ts'
import { removeSigningKey, rotateSigningKey } from '../../src/oidc/keys/rotate.ts'
import { systemRandom } from '../../src/security/random.ts'
import { openDb } from '../../src/store/db.ts'
import { type Peer, startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { cachingVerifier } from '../support/caching-verifier.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, redeem, relyingParty, signIn } from '../support/relying-party.ts'

const day = 86_400
const api = 'https://api.example.com'

let server: TestApp
/** A process whose clock is half a minute late. */
let peer: Peer
let member: GivenMember
beforeAll(async () => {
  server = await startTestApp()
  peer = await server.startPeer({ now: () => new Date(server.now().getTime() - 30_000) })
  member = await givenMember(server)
  const [name, times] = [
    { ja: 'API', en: 'API' },
    { createdAt: server.now(), updatedAt: server.now() },
  ]
  await server.db.resource.create({ data: { id: api, name, scopes: ['read'], ...times } })
})
afterAll(async () => {
  await peer.close()
  await server.close()
})
beforeEach(() => settle())

/** Every process has seen what there is to see, and done what was due. */
async function settle(): Promise<void> {
  for (const { engine } of [server.app, peer.app, server.app]) await engine.refresh()
}

const making = () => ({ db: server.db, sealer: server.sealer, random: systemRandom })
async function rotate(alg: Algorithm, activateInSeconds: number): Promise<string> {
  const activeFrom = new Date(server.now().getTime() + activateInSeconds * 1000)
  const kid = await rotateSigningKey(making(), alg, activeFrom, server.now())
  if (!kid) throw new Error('somebody else was rotating')
  return kid
}

async function published(origin: string): Promise<string[]> {
  const { json } = await send(`${origin}/jwks`, { headers: { host: new URL(server.issuer).host } })
  return (json.keys as { kid: string }[]).map(({ kid }) => kid).sort()
}

const verifiesNow = async (token: string) => {
  const { json } = await send(`${server.issuer}/jwks`)
  const verified = jwtVerify(token, createLocalJWKSet(json as unknown as JSONWebKeySet))
  return verified.then(
    () => true,
    () => false,
  )
}

const eventsOf = async (kid: string) => {
  const where = { data: { path: ['kid'], equals: kid } }
  const events = await server.db.event.findMany({ where, orderBy: { position: 'asc' } })
  return events.map(({ type }) => type)
}

async function machine(): Promise<(origin: string) => Promise<string>> {
  const resources = [{ id: api, scopes: [] }]
  const client = await givenClient(server, { profile: 'machine', resources })
  return async (origin) => {
    const answer = await post(server, '/token', { grant_type: 'client_credentials' }, { client, origin })
    return String(answer.json.access_token)
  }
}

describe('a rotation', () => {
  test('no token fails to verify at a relying party that keeps the key set, however often keys rotate', async () => {
    const tokenFrom = await machine()
    const party = cachingVerifier(server, [server.issuer, peer.origin])
    const all: string[] = []
    const sign = async () => {
      for (const origin of [server.issuer, peer.origin]) {
        const token = await tokenFrom(origin)
        await party.verify(token)
        all.push(token)
      }
    }
    for (let round = 0; round < 4; round += 1) {
      await rotate('ES256', 600)
      await sign()
      // One process hears of it later than the other.
      await server.app.engine.refresh()
      await sign()
      for (let slice = 0; slice < 9; slice += 1) {
        server.advance(80)
        await (slice % 2 ? peer : server).app.engine.refresh()
        await sign()
        await settle()
        await sign()
      }
    }
    expect(new Set(all.map((token) => decodeProtectedHeader(token).kid)).size).toBe(5)
    expect(party.fetches()).toBeGreaterThan(8)
    // What keys signed that have been retired since still verifies.
    expect(await Promise.all(all.map(verifiesNow))).not.toContain(false)
  })

  test('by schedule, a key is made and published a day before it signs', async () => {
    const tokenFrom = await machine()
    const before = decodeProtectedHeader(await tokenFrom(server.issuer)).kid
    server.advance(89 * day)
    await settle()
    const made = (await published(server.issuer)).length
    expect(decodeProtectedHeader(await tokenFrom(server.issuer)).kid).toBe(before)
    server.advance(day)
    await settle()
    const kid = String(decodeProtectedHeader(await tokenFrom(server.issuer)).kid)
    expect(kid).not.toBe(before)
    expect(await published(peer.origin)).toContain(kid)
    expect(await published(server.issuer)).toHaveLength(made)
  })

  test('in an emergency the new key signs at once, and the old one can be ended', async () => {
    const tokenFrom = await machine()
    const token = await tokenFrom(server.issuer)
    const leaked = String(decodeProtectedHeader(token).kid)
    expect(await removeSigningKey(server.db, leaked, 'destroy', server.now())).toBe('needed')
    const kid = await rotate('ES256', 0)
    await settle()
    expect(decodeProtectedHeader(await tokenFrom(server.issuer)).kid).toBe(kid)
    expect(await verifiesNow(token)).toBe(true)
    expect(await removeSigningKey(server.db, leaked, 'destroy', server.now())).toBe('done')
    await settle()
    expect(await verifiesNow(token)).toBe(false)
    expect(await verifiesNow(await tokenFrom(peer.origin))).toBe(true)
  })

  test('is seen by every process within a second or so, with nobody telling them', async () => {
    // As the command does it: from another process, which cannot be heard.
    const db = openDb(server.config.DATABASE_URL ?? '', 1)
    const activeFrom = new Date(server.now().getTime() + 600_000)
    const kid = await rotateSigningKey({ ...making(), db }, 'RS256', activeFrom, server.now())
    await db.$disconnect()
    for (const origin of [server.issuer, peer.origin])
      await vi.waitFor(async () => expect(await published(origin)).toContain(kid), { timeout: 10_000 })
  })
})

describe('the end of a key', () => {
  test('a retired key is destroyed when nothing it signed can come back: unpublished, private part gone', async () => {
    const tokenFrom = await machine()
    const token = await tokenFrom(server.issuer)
    const kid = String(decodeProtectedHeader(token).kid)
    await rotate('ES256', 600)
    server.advance(700)
    await settle()
    server.advance(7 * day - 60)
    await settle()
    expect(await verifiesNow(token)).toBe(true)
    expect(await eventsOf(kid)).toEqual(['signing_key.created', 'signing_key.retired'])

    server.advance(120)
    await settle()
    expect(await verifiesNow(token)).toBe(false)
    for (const origin of [server.issuer, peer.origin]) expect(await published(origin)).not.toContain(kid)
    const row = await server.db.signingKey.findUniqueOrThrow({ where: { kid } })
    expect(row).toMatchObject({ sealedPrivate: null, destroyedAt: expect.any(Date) })
    expect(await eventsOf(kid)).toEqual([
      'signing_key.created',
      'signing_key.retired',
      'signing_key.destroyed',
    ])
  })
})

describe('a change of the engine', () => {
  test('a code that was given before is redeemed after', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const attempt = await begin(party)
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    const [before, kid] = [server.app.engine.provider(), await rotate('ES256', 0)]
    await settle()
    expect(server.app.engine.provider()).not.toBe(before)
    const { id_token = '' } = await redeem(party, callback, attempt)
    expect(decodeProtectedHeader(id_token).kid).toBe(kid)
  })

  test('a member in the middle of signing in does not notice', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    const attempt = await begin(party)
    const form = await browser.open(attempt.url)
    await rotate('ES256', 0)
    await settle()
    const { email, password } = member
    const consent = await browser.submit(form, '/sign-in', { email, password })
    await rotate('ES256', 0)
    await settle()
    const { url } = await browser.submit(consent, '/consent')
    expect((await redeem(party, url, attempt)).claims()?.sub).toBe(member.id)
  })

  test('nobody is signed out by it', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const browser = openBrowser()
    await signIn(party, browser, member)
    await rotate('ES256', 0)
    await settle()
    const account = await browser.open(`${server.issuer}/account`)
    expect([account.status, account.url.pathname]).toEqual([200, '/account'])
  })
})

test.each(['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'])(
  'OpenID Connect Registration section 2: %s signs the ID tokens of a client that asks for it',
  async (alg) => {
    const client = await givenClient(server, { metadata: { id_token_signed_response_alg: alg } })
    const party = await relyingParty(server, client, undefined, { id_token_signed_response_alg: alg })
    const { id_token = '' } = await signIn(party, openBrowser(), member)
    expect(decodeProtectedHeader(id_token).alg).toBe(alg)
  },
)

test('the key set and the metadata may be kept for five minutes, by shared caches as well', async () => {
  for (const path of ['/jwks', '/.well-known/openid-configuration']) {
    const { headers } = await send(server.issuer + path)
    expect(headers).toMatchObject({ 'cache-control': 'public, max-age=300', vary: 'Origin' })
    expect(headers).not.toHaveProperty('set-cookie')
  }
  const preflight = { origin: 'https://shop.example.com', 'access-control-request-method': 'GET' }
  const { status, headers } = await send(`${server.issuer}/jwks`, { method: 'OPTIONS', headers: preflight })
  expect(status).toBe(204)
  expect(headers['cache-control']).not.toBe('public, max-age=300')
})

test('no private key is in the database in clear', async () => {
  const rows = await server.db.signingKey.findMany()
  const sealed = rows.filter(({ sealedPrivate }) => sealedPrivate !== null)
  expect(sealed.length).toBeGreaterThan(3)
  const opened = sealed.map(({ kid, sealedPrivate }) =>
    JSON.parse(server.sealer.open(sealedPrivate ?? '', `signing key ${kid}`)),
  )
  const events = await server.db.event.findMany({ where: { type: { startsWith: 'signing_key' } } })
  const stored = JSON.stringify([rows, events.map(({ data }) => data)]) + server.logged()
  for (const { d } of opened) expect(stored).not.toContain(d)
})
