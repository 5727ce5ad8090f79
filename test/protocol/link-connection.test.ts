import * as oidc from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { disableConnection } from '../../src/connections/connection.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { rotateSigningKey } from '../../src/oidc/keys/rotate.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction } from '../../src/store/db.ts'
import { newKeys, publicKeys, requestObject } from '../support/fapi.ts'
import {
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { answerOf, requestLink } from '../support/link-request.ts'
import { changesOf, typesOf, visitor } from '../support/linking.ts'
import { post, send } from '../support/post.ts'
import { begin, type RelyingParty, relyingParty } from '../support/relying-party.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
let party: RelyingParty
let member: GivenMember
beforeAll(async () => {
  server = await startLinkingApp({ inProcessStore: true })
  upstream = await givenUpstream(server, { id: 'upstream' })
  await givenConnection(server, { id: 'foreign' })
  party = await givenParty()
})
afterAll(async () => {
  await Promise.all([server.close(), upstream.close()])
})

let count = 0
beforeEach(async () => {
  upstream.behavior.subject = `shopper-${++count}`
  upstream.behavior.decline = false
  member = await givenMember(server)
})

async function givenParty(input: Parameters<typeof givenClient>[1] = {}): Promise<RelyingParty> {
  const scopes = ['openid', 'profile', 'offline_access', 'linked_accounts']
  return relyingParty(server, await givenClient(server, { scopes, connections: ['upstream'], ...input }))
}

const wanted = { link_connection: 'upstream' }
const linkOf = (memberId: string) =>
  server.db.federatedIdentity.findFirst({ where: { memberId, connectionId: 'upstream' } })
const given = () =>
  givenIdentity(server, {
    memberId: member.id,
    connectionId: 'upstream',
    subject: upstream.behavior.subject,
  })

describe('a link that cannot be made ends nobody’s sign-in', () => {
  test.each([
    ['is unknown', 'nowhere'],
    ['is not allowed to the client', 'foreign'],
    ['is no name at all', "'; DROP TABLE"],
  ])('link_result says so when the connection %s', async (_what, name) => {
    const { result, rows } = await changesOf(server, async () =>
      answerOf(party, await requestLink(party, member, { link_connection: name })),
    )
    expect(result.claims).toMatchObject({ sub: member.id, link_result: 'failed:connection_unavailable' })
    expect(rows).toEqual({ Grant: '+1' })
  })

  test('nor when it is disabled, before or on the way', async () => {
    const shut = await givenUpstream(server, { id: 'shut' })
    const both = await givenParty({ connections: ['upstream', 'shut'] })
    const onTheWay = await requestLink(both, member, { link_connection: 'shut' })
    expect(onTheWay.page.url.pathname).toMatch(/^\/link\//)
    await inTransaction(server.db, (tx) => disableConnection(tx, 'shut', server.now()))
    const page = await onTheWay.browser.open(onTheWay.page.url)
    expect(page.status).toBe(404)
    const declined = await onTheWay.browser.submit(onTheWay.page, '/decline')
    expect((await answerOf(both, { ...onTheWay, page: declined })).claims.link_result).toBe('declined')
    const before = await requestLink(both, member, { link_connection: 'shut' })
    expect((await answerOf(both, before)).claims.link_result).toBe('failed:connection_unavailable')
    await shut.close()
  })

  test('an upstream that is away, or answers what is not usable, is told as that', async () => {
    const away = await givenUpstream(server, { id: 'away' })
    await away.close()
    const lost = await givenParty({ connections: ['away', 'upstream'] })
    const unreachable = await requestLink(lost, member, { link_connection: 'away' })
    expect((await answerOf(lost, unreachable)).claims.link_result).toBe('failed:upstream_unreachable')
    upstream.behavior.wrong = { idToken: (parts) => ({ ...parts, claims: { ...parts.claims, nonce: 'x' } }) }
    const odd = await requestLink(lost, member, wanted)
    upstream.behavior.wrong = {}
    expect((await answerOf(lost, odd)).claims.link_result).toMatch(/^failed:(unexpected_)?upstream/)
    expect(await linkOf(member.id)).toBeNull()
  })

  test('prompt=none gets interaction_required, signed in recently or long ago, and no page', async () => {
    const { browser } = await requestLink(party, member, {}).then(async (request) => {
      await answerOf(party, request)
      return request
    })
    const silent = async () => {
      const { page } = await requestLink(party, member, { ...wanted, prompt: 'none' }, browser)
      return page.url.searchParams.get('error')
    }
    expect(await silent()).toBe('interaction_required')
    server.advance(3600)
    expect(await silent()).toBe('interaction_required')
  })

  test('a request that has no code, or leaves the parameter empty, is not led to a link', async () => {
    const request = await requestLink(party, member, { link_connection: '' })
    const { claims } = await answerOf(party, request)
    expect(claims).not.toHaveProperty('link_result')
  })

  test('an account that may not be linked yet is refused on a page that leads back, and told', async () => {
    const before = await givenMember(server)
    const [connectionId, { subject }] = ['upstream', upstream.behavior]
    const { id: identityId } = await givenIdentity(server, { memberId: before.id, connectionId, subject })
    const policy = { sealer: server.sealer, coolOffDays: 1 }
    await unlinkIdentity(server.db, policy, { memberId: before.id, identityId }, server.now())
    const request = await requestLink(party, member, wanted)
    expect(request.page.status).toBe(409)
    const back = /href="(\/interaction\/[^"]+)"/.exec(request.page.html)?.[1] ?? ''
    const page = await request.browser.open(new URL(back, server.issuer))
    const { claims } = await answerOf(party, { ...request, page })
    expect(claims).toMatchObject({ sub: member.id, link_result: 'failed:cooling_off' })
  })

  test('conflict_kept: an account of another member stays where it is', async () => {
    const owner = await givenMember(server)
    const { subject } = upstream.behavior
    await givenIdentity(server, { memberId: owner.id, connectionId: 'upstream', subject })
    const request = await requestLink(party, member, wanted)
    expect(request.page.status).toBe(409)
    const page = await request.browser.submit(request.page, '/keep')
    const { claims } = await answerOf(party, { ...request, page })
    expect(claims).toMatchObject({ sub: member.id, link_result: 'conflict_kept' })
    expect(await linkOf(member.id)).toBeNull()
  })
})

describe('link_result', () => {
  test('linked: the member agreed, and lands at the relying party with a code', async () => {
    const { result, ...changes } = await changesOf(server, async () => {
      const request = await requestLink(party, member, { ...wanted, scope: 'openid linked_accounts' })
      expect(request.page.html).toContain('/agree')
      const page = await request.browser.submit(request.page, '/agree')
      // What the relying party may have is asked for after the link, and can name it.
      expect(page.url.pathname).toMatch(/^\/interaction\/.+\/consent$/)
      return answerOf(party, { ...request, page })
    })
    expect(result.claims).toMatchObject({
      sub: member.id,
      link_result: 'linked',
      linked_accounts: [{ connection: 'upstream', subject: upstream.behavior.subject }],
    })
    expect(changes.rows).toEqual({
      ...{ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1', Grant: '+1' },
    })
    expect(typesOf({ result, ...changes })).toContain('identity.linked')
    const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
    expect(consent).toMatchObject({ way: 'client_request', clientId: party.id })
  })

  test('already_linked: no page at all, also with prompt=none', async () => {
    await given()
    const request = await requestLink(party, member, wanted)
    expect(request.page.url.pathname).toMatch(/\/consent$/)
    expect((await answerOf(party, request)).claims.link_result).toBe('already_linked')
    const silent = await requestLink(party, member, { ...wanted, prompt: 'none' }, request.browser)
    expect(silent.page.status).toBe(0)
    expect((await answerOf(party, silent)).claims.link_result).toBe('already_linked')
  })

  test('linked on the way: who becomes a member’s account at the sign-in is not asked twice', async () => {
    upstream.behavior.claims = { email: member.email, name: 'Hanako' }
    const parameters = { ...wanted, connection: 'upstream' }
    const request = await requestLink(party, member, parameters)
    upstream.behavior.claims = {}
    expect(request.page.url.pathname).toMatch(/^\/link\//)
    const page = await request.browser.submit(request.page, '/agree')
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('linked')
  })

  test('linked: a link the upstream no longer stood behind is mended on the way', async () => {
    const { id } = await given()
    await server.db.federatedIdentity.update({
      where: { id },
      data: { needsRelinkSince: server.now(), needsRelinkReason: 'revoked' },
    })
    const request = await requestLink(party, member, wanted)
    expect((await answerOf(party, request)).claims.link_result).toBe('linked')
    expect(await linkOf(member.id)).toMatchObject({ id, needsRelinkSince: null })
  })

  test.each([
    ['here', false],
    ['at the upstream', true],
  ])('declined: %s', async (_where, decline) => {
    upstream.behavior.decline = decline
    const { result, rows } = await changesOf(server, async () => {
      const request = await requestLink(party, member, wanted)
      const page = decline ? request.page : await request.browser.submit(request.page, '/decline')
      return answerOf(party, { ...request, page })
    })
    expect(result.claims.link_result).toBe('declined')
    expect(rows).toEqual({ Grant: '+1' })
  })

  test('is in the ID token of that code alone: not after a refresh, not at userinfo, not the next time', async () => {
    await given()
    const request = await requestLink(party, member, {
      ...{ ...wanted, scope: 'openid offline_access', prompt: 'consent' },
    })
    const { tokens, claims } = await answerOf(party, request)
    expect(claims.link_result).toBe('already_linked')
    const refreshed = await oidc.refreshTokenGrant(party.config, tokens.refresh_token ?? '')
    expect(refreshed.claims()).not.toHaveProperty('link_result')
    const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, member.id)
    expect(userinfo).not.toHaveProperty('link_result')
    const next = await requestLink(party, member, {}, request.browser)
    expect((await answerOf(party, next)).claims).not.toHaveProperty('link_result')
  })

  test('a browser cannot tell it: whatever it adds to an address, the end that was kept counts', async () => {
    const request = await requestLink(party, member, wanted)
    const uid = request.browser.cookies().get('hitotsu_interaction')
    const page = await request.browser.submit(request.page, '/decline')
    const again = await request.browser.open(
      `${server.issuer}/interaction/${uid}?link_result=linked&notice=linked&outcome=linked`,
    )
    expect([400, 404]).toContain(again.status)
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('declined')
  })
})

describe('the sign-in that a link takes', () => {
  const signedIn = async () => {
    const request = await requestLink(party, member, {})
    await answerOf(party, request)
    return request.browser
  }

  test('one of just now is enough; an older one is asked for again, under the relying party’s name', async () => {
    const browser = await signedIn()
    browser.stopAt(party.redirectUri)
    const fresh = await browser.open((await begin(party, wanted)).url)
    expect(fresh.html).toContain('/agree')
    server.advance(601)
    const attempt = await begin(party, wanted)
    const page = await browser.open(attempt.url)
    expect(page.url.pathname).toMatch(/\/sign-in$/)
    expect(page.html).toContain(`Shop ${party.id}`)
    expect(page.html).toContain(member.email)
    const { email, password } = member
    const shown = await browser.submit(page, '/sign-in', { email, password })
    const linked = await browser.submit(shown, '/agree')
    const { claims } = await answerOf(party, { browser, page: linked, attempt })
    expect(claims.link_result).toBe('linked')
  })

  test('who is linked already is not asked for one', async () => {
    const browser = await signedIn()
    await given()
    server.advance(601)
    const request = await requestLink(party, member, wanted, browser)
    expect(request.page.status).toBe(0)
    expect((await answerOf(party, request)).claims.link_result).toBe('already_linked')
  })

  test.each([
    ['prompt=login', { prompt: 'login' }],
    ['max_age', { max_age: '0' }],
    ['acr_values', { acr_values: 'urn:hitotsu:acr:1fa' }],
    ['prompt=consent', { prompt: 'consent' }],
  ])('goes together with %s', async (_name, more) => {
    const browser = await signedIn()
    const request = await requestLink(party, member, { ...wanted, ...more }, browser)
    const page = await browser.submit(request.page, '/agree')
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('linked')
  })
})

describe('goes with every kind of request and client', () => {
  const agreed = async (to: RelyingParty, parameters = {}) => {
    const request = await requestLink(to, member, { ...wanted, ...parameters })
    return { ...request, page: await request.browser.submit(request.page, '/agree') }
  }

  test('a first-party client, without a page of consent', async () => {
    const own = await givenParty({ firstParty: true })
    const request = await agreed(own)
    expect(request.page.status).toBe(0)
    expect((await answerOf(own, request)).claims.link_result).toBe('linked')
  })

  test('a pairwise client, that learns no member ID', async () => {
    const pairwise = await givenParty({ metadata: { subject_type: 'pairwise' } })
    const { claims } = await answerOf(pairwise, await agreed(pairwise))
    expect(claims.link_result).toBe('linked')
    expect(claims.sub).not.toBe(member.id)
  })

  test('a client with a list of claims it may have: the result is about its own request', async () => {
    const limited = await givenParty({ metadata: { allowed_claims: ['name'] } })
    expect((await answerOf(limited, await agreed(limited))).claims.link_result).toBe('linked')
  })

  test('RFC 9126: a request that was pushed', async () => {
    const { id, config, redirectUri } = party
    const attempt = await begin(party, wanted)
    const { json } = await post(server, '/par', Object.fromEntries(attempt.url.searchParams), {
      client: party,
    })
    const browser = visitor()
    browser.stopAt(redirectUri)
    const endpoint = config.serverMetadata().authorization_endpoint ?? ''
    const query = new URLSearchParams({ client_id: id, request_uri: String(json.request_uri) })
    const form = await browser.open(`${endpoint}?${query}`)
    const { email, password } = member
    const page = await browser.submit(await browser.submit(form, '/sign-in', { email, password }), '/agree')
    expect((await answerOf(party, { browser, page, attempt })).claims.link_result).toBe('linked')
  })

  test('RFC 9101: a signed request, whose word counts and not the address', async () => {
    const keys = await newKeys()
    const jwks = await publicKeys([keys, 'ES256'])
    const metadata = { request_object_signing_alg: 'ES256' }
    const signer = await givenParty({ jwks, metadata })
    const attempt = await begin(signer, wanted)
    const { client_id: _, ...parameters } = Object.fromEntries(attempt.url.searchParams)
    const url = new URL(attempt.url)
    url.searchParams.set('request', await requestObject(server, { ...signer, keys }, parameters))
    url.searchParams.set('link_connection', 'foreign')
    const browser = visitor()
    browser.stopAt(signer.redirectUri)
    const { email, password } = member
    const shown = await browser.submit(await browser.open(url), '/sign-in', { email, password })
    const page = await browser.submit(shown, '/agree')
    expect((await answerOf(signer, { browser, page, attempt })).claims.link_result).toBe('linked')
  })

  test('JARM: the code comes in a signed answer, the result in the ID token', async () => {
    const request = await agreed(party, { response_mode: 'query.jwt' })
    const last = await request.browser.submit(request.page, '/consent')
    const metadata = { authorization_signed_response_alg: 'ES256' }
    const secret = oidc.ClientSecretBasic(party.secret)
    const { config } = await relyingParty(server, party, secret, metadata)
    oidc.useJwtResponseMode(config)
    const { claims } = await answerOf({ ...party, config }, { ...request, page: last })
    expect(claims.link_result).toBe('linked')
  })

  test('RFC 8414: discovery says that it can be asked for, and what is told', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    expect(json).toMatchObject({ link_connection_supported: true })
    expect(json.claims_supported).toContain('link_result')
    expect(json.prompt_values_supported).not.toContain('link')
  })
})

describe('tabs, the back button and time', () => {
  test('two tabs: each code tells the end of its own request', async () => {
    const browser = visitor()
    const first = await requestLink(party, member, wanted, browser)
    const second = await requestLink(party, member, wanted, browser)
    const linked = await browser.submit(first.page, '/agree')
    const one = await answerOf(party, { ...first, page: linked })
    expect(one.claims.link_result).toBe('linked')
    const other = await browser.submit(second.page, '/decline')
    const two = await answerOf(party, { ...second, page: other })
    expect(two.claims.link_result).toBe('declined')
    expect(await linkOf(member.id)).not.toBeNull()
  })

  test('a double click leads on to the relying party, with one link', async () => {
    const request = await requestLink(party, member, wanted)
    const { browser, page } = request
    const { result, rows } = await changesOf(server, () =>
      Promise.all([browser.press(page, '/agree'), browser.submit(page, '/agree')]),
    )
    expect(rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
    const [, last] = result
    expect((await answerOf(party, { ...request, page: last })).claims.link_result).toBe('linked')
  })

  test('the back button, and agreeing once more, leads on to the relying party, with one link', async () => {
    const request = await requestLink(party, member, wanted)
    const { browser, page } = request
    const { result, rows } = await changesOf(server, async () => {
      await browser.press(page, '/agree')
      return browser.submit(page, '/agree')
    })
    expect(rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1', UpstreamToken: '+1' })
    expect((await answerOf(party, { ...request, page: result })).claims.link_result).toBe('linked')
  })

  test('a transaction that ran out leads back to the link, while the authorization still waits', async () => {
    const request = await requestLink(party, member, wanted)
    server.advance(700)
    const { browser } = request
    // The sign-in is older than a link takes by now: it is asked for anew, then the link.
    const form = await browser.open(request.page.url)
    expect(form.url.pathname).toMatch(/\/sign-in$/)
    const { email, password } = member
    const shown = await browser.submit(form, '/sign-in', { email, password })
    const page = await browser.submit(shown, '/agree')
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('linked')
  })

  test('an authorization that is over says so, and links nothing', async () => {
    const request = await requestLink(party, member, wanted)
    server.advance(3700)
    const page = await request.browser.open(request.page.url)
    expect(page.status).toBeGreaterThanOrEqual(400)
    expect(await linkOf(member.id)).toBeNull()
  })

  test('a process that died after it linked, before it said so, is made up for by the evidence', async () => {
    const request = await requestLink(party, member, wanted)
    const { set } = server.store
    server.store.set = async (key, ...rest) => {
      if (key.startsWith('link-end:')) throw new Error('the process ends here')
      return set(key, ...rest)
    }
    const died = await request.browser.submit(request.page, '/agree')
    server.store.set = set
    expect(died.status).toBe(500)
    expect(await linkOf(member.id)).not.toBeNull()
    const page = await request.browser.open(request.page.url)
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('linked')
  })

  test('a process that died before it linked has linked nothing: the member is led to the link again', async () => {
    const request = await requestLink(party, member, wanted)
    const { take } = server.store
    server.store.take = async (key) => {
      const taken = await take(key)
      if (key.startsWith('link:')) throw new Error('the process ends here')
      return taken
    }
    expect((await request.browser.submit(request.page, '/agree')).status).toBe(500)
    server.store.take = take
    expect(await linkOf(member.id)).toBeNull()
    const again = await request.browser.open(request.page.url)
    expect(again.html).toContain('/agree')
    const page = await request.browser.submit(again, '/agree')
    expect((await answerOf(party, { ...request, page })).claims.link_result).toBe('linked')
  })

  test('a click that comes before the first one has linked makes the trip once more, and tells of the link it was', async () => {
    const request = await requestLink(party, member, wanted)
    const { browser, page } = request
    const { take } = server.store
    const taken = Promise.withResolvers<void>()
    const goesOn = Promise.withResolvers<void>()
    server.store.take = async (key) => {
      const value = await take(key)
      if (key.startsWith('link:')) {
        server.store.take = take
        taken.resolve()
        await goesOn.promise
      }
      return value
    }
    const first = browser.press(page, '/agree')
    await taken.promise
    const again = await browser.submit(page, '/agree')
    goesOn.resolve()
    await first
    expect(again.html).toContain('/agree')
    const last = await browser.submit(again, '/agree')
    expect((await answerOf(party, { ...request, page: last })).claims.link_result).toBe('linked')
  })

  test('an engine that takes another’s place on the way, with other keys, tells the same', async () => {
    const request = await requestLink(party, member, wanted)
    await rotateSigningKeys()
    const page = await request.browser.submit(request.page, '/agree')
    const last = await request.browser.submit(page, '/consent')
    await rotateSigningKeys()
    const later = await relyingParty(server, party)
    expect((await answerOf(later, { ...request, page: last })).claims.link_result).toBe('linked')
  })

  test('two processes that take turns tell the same', async () => {
    await server.restartAs({}, {})
    const request = await requestLink(party, member, wanted)
    const page = await request.browser.submit(request.page, '/agree')
    const later = await relyingParty(server, party)
    expect((await answerOf(later, { ...request, page })).claims.link_result).toBe('linked')
  })
})

/** The engine is another from here on. */
async function rotateSigningKeys(): Promise<void> {
  const { db, sealer, app } = server
  const before = app.engine.provider()
  await rotateSigningKey({ db, sealer, random: systemRandom }, 'ES256', server.now(), server.now())
  await app.engine.refresh()
  expect(app.engine.provider()).not.toBe(before)
}
