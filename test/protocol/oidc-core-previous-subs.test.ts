import { decodeJwt } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { type Browser, openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember, givenResource } from '../support/given.ts'
import { type LogoutReceiver, startLogoutReceiver } from '../support/logout-receiver.ts'
import { merge, undo } from '../support/merging.ts'
import { post } from '../support/post.ts'
import { authorize, begin, type RelyingParty, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let receiver: LogoutReceiver
beforeAll(async () => {
  receiver = await startLogoutReceiver()
  server = await startTestApp({ privateHosts: [receiver.host] })
})
afterAll(() => Promise.all([server.close(), receiver.close()]))

const scopes = ['openid', 'profile', 'email', 'offline_access']
const givenParty = async (input: Parameters<typeof givenClient>[1] = {}): Promise<RelyingParty> =>
  relyingParty(server, await givenClient(server, { scopes, ...input }))

async function givenTwo(): Promise<[GivenMember, GivenMember]> {
  return [
    await givenMember(server, { name: 'The survivor' }),
    await givenMember(server, { name: 'The absorbed one' }),
  ]
}

const offline = { scope: 'openid profile email offline_access' }
const claimsOf = (tokens: { claims(): Record<string, unknown> | undefined }) => tokens.claims() ?? {}

/** What a party is told of a member in all ways there are, by a new sign-in. */
async function toldOf(party: RelyingParty, member: GivenMember, parameters = {}) {
  const tokens = await signIn(party, openBrowser(), member, { ...offline, ...parameters })
  const { sub = '', ...claims } = claimsOf(tokens) as { sub?: string; previous_subs?: string[] }
  const userinfo = await oidc.fetchUserInfo(party.config, tokens.access_token, sub)
  const refreshed = await oidc.refreshTokenGrant(party.config, tokens.refresh_token ?? '')
  const about = await oidc.tokenIntrospection(party.config, refreshed.access_token)
  return { tokens, refreshed, claims: { sub, ...claims }, userinfo, about }
}

describe('OpenID Connect Core 1.0 section 5.7: after a merge, the sub of the survivor', () => {
  test('is the absorbed one for a relying party that knew no other, wherever a sub is told', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    await toldOf(party, absorbed)
    await merge(server, survivor, absorbed)
    // Without a page: what was allowed before is allowed still.
    const browser = openBrowser()
    await signIn(await givenParty({ firstParty: true }), browser, survivor)
    const { url } = await silently(party, browser)
    expect(url.searchParams.has('code')).toBe(true)

    const { refreshed, claims, userinfo, about } = await toldOf(party, survivor)
    expect(claims).toMatchObject({ sub: absorbed.id })
    expect(userinfo).toMatchObject({ sub: absorbed.id, name: 'The survivor', email: survivor.email })
    // Section 12.2: of a refresh, the same.
    expect(claimsOf(refreshed)).toMatchObject({ sub: absorbed.id })
    expect(about).toMatchObject({ active: true, sub: absorbed.id })
    expect(claims).not.toHaveProperty('previous_subs')
    expect(JSON.stringify([claims, userinfo, about])).not.toContain(survivor.id)
  })

  test('is its own for one that knew both, with the other in previous_subs', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty({ metadata: { userinfo_signed_response_alg: 'ES256' } })
    await toldOf(party, absorbed)
    await toldOf(party, survivor)
    await merge(server, survivor, absorbed)
    const { claims, userinfo, refreshed, about } = await toldOf(party, survivor)
    for (const told of [claims, userinfo, claimsOf(refreshed)])
      expect(told).toMatchObject({ sub: survivor.id, previous_subs: [absorbed.id] })
    expect(about).toMatchObject({ sub: survivor.id })
  })

  test.each([['knew neither'], ['knew the survivor alone']])(
    'is its own for one that %s, which hears nothing of the other',
    async (which) => {
      const [survivor, absorbed] = await givenTwo()
      const party = await givenParty()
      if (which !== 'knew neither') await toldOf(party, survivor)
      await merge(server, survivor, absorbed)
      const told = await toldOf(party, survivor)
      expect(told.claims).toMatchObject({ sub: survivor.id })
      expect(JSON.stringify([told.claims, told.userinfo, told.about])).not.toContain(absorbed.id)
    },
  )

  test('is the one it always was when the survivor is absorbed in turn', async () => {
    const [survivor, absorbed] = await givenTwo()
    const last = await givenMember(server)
    const [first, second] = [await givenParty(), await givenParty()]
    await toldOf(first, absorbed)
    await toldOf(second, absorbed)
    await toldOf(second, survivor)
    await merge(server, survivor, absorbed)
    await merge(server, last, survivor)
    expect((await toldOf(first, last)).claims).toMatchObject({ sub: absorbed.id })
    expect((await toldOf(second, last)).claims).toMatchObject({
      sub: survivor.id,
      previous_subs: [absorbed.id],
    })
  })

  test('stays one name when it is told a second time', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    await toldOf(party, absorbed)
    await merge(server, survivor, absorbed)
    for (const _ of [1, 2])
      expect((await toldOf(party, survivor, { prompt: 'consent' })).claims.sub).toBe(absorbed.id)
    const known = await server.db.knownMember.findMany({ where: { clientId: party.id } })
    expect(known.map(({ memberId }) => memberId)).toEqual([absorbed.id])
  })

  test('is in an access token that is a JWT what it is in the ID token (RFC 9068 section 2.2)', async () => {
    const [survivor, absorbed] = await givenTwo()
    const api = await givenResource(server)
    const party = await givenParty({ resources: [{ id: api }], scopes: [...scopes] })
    const parameters = { scope: 'openid orders:read', resource: api }
    await signIn(party, openBrowser(), absorbed, parameters)
    await merge(server, survivor, absorbed)
    const attempt = await begin(party, parameters)
    const callback = await authorize(party, openBrowser(), survivor, attempt.url)
    const body = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: party.redirectUri,
      code_verifier: attempt.codeVerifier,
      resource: api,
    }
    const { json } = await post(server, '/token', body, { client: party })
    expect(decodeJwt(String(json.access_token)).sub).toBe(absorbed.id)
    expect(decodeJwt(String(json.id_token)).sub).toBe(absorbed.id)
  })

  test.each([
    ['knew the absorbed one alone', false],
    ['knew both', true],
  ])('is a name of the sector, where that %s', async (_, knewBoth) => {
    const [survivor, absorbed] = await givenTwo()
    const pairwise = { metadata: { subject_type: 'pairwise' } }
    const host = `${absorbed.id}.example.com`
    const [party, sibling] = [
      await givenParty({ ...pairwise, redirectUris: [`https://${host}/one`] }),
      await givenParty({ ...pairwise, redirectUris: [`https://${host}/two`] }),
    ]
    const before = (await toldOf(party, absorbed)).claims.sub
    const own = knewBoth ? (await toldOf(sibling, survivor)).claims.sub : undefined
    await merge(server, survivor, absorbed)
    const { claims, userinfo, about } = await toldOf(party, survivor)
    expect(claims.sub).toBe(own ?? before)
    expect([userinfo.sub, about.sub]).toEqual([claims.sub, claims.sub])
    expect(claims.previous_subs).toEqual(knewBoth ? [before] : undefined)
    expect(userinfo.previous_subs).toEqual(claims.previous_subs)
    expect(JSON.stringify([claims, userinfo])).not.toMatch(new RegExp(`${survivor.id}|${absorbed.id}`))
  })
})

async function silently(party: RelyingParty, browser: Browser, parameters: Record<string, string> = {}) {
  browser.stopAt(party.redirectUri)
  return browser.open((await begin(party, { prompt: 'none', ...parameters })).url)
}

describe('what was given to the absorbed member', () => {
  test('ends: its tokens are refused, and a new sign-in has the same sub', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    const { tokens, refreshed } = await toldOf(party, absorbed)
    await merge(server, survivor, absorbed)
    await expect(oidc.refreshTokenGrant(party.config, refreshed.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    })
    const userinfo = await fetch(`${server.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${refreshed.access_token}` },
    })
    expect(userinfo.status).toBe(401)
    expect(await oidc.tokenIntrospection(party.config, refreshed.access_token)).toMatchObject({
      active: false,
    })
    const again = await toldOf(party, survivor)
    expect(again.claims.sub).toBe(claimsOf(tokens).sub)
  })

  test('ends at relying parties that hear of it, under the sub they know', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty({
      firstParty: true,
      metadata: { backchannel_logout_uri: receiver.uri('merged') },
    })
    await signIn(party, openBrowser(), absorbed)
    await merge(server, survivor, absorbed)
    await server.app.dispatcher.drain()
    expect(receiver.at('merged').map(({ claims }) => claims.sub)).toEqual([absorbed.id])

    // Once it is the survivor's, a session there ends under the same sub.
    const browser = openBrowser()
    await signIn(party, browser, survivor)
    const page = await browser.open(`${server.issuer}/account`)
    const form = await browser.submit(page, '/account/sign-out')
    await browser.submit(form, '/sign-out/confirm', { logout: 'yes' })
    await server.app.dispatcher.drain()
    expect(receiver.at('merged').map(({ claims }) => claims.sub)).toEqual([absorbed.id, absorbed.id])
  })

  test('is a hint of the survivor: an ID token of either identifies them (section 3.1.2.1)', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    const { id_token: ofAbsorbed = '' } = await signIn(party, openBrowser(), absorbed)
    const { id_token: ofSurvivor = '' } = await signIn(party, openBrowser(), survivor)
    await merge(server, survivor, absorbed)
    const browser = openBrowser()
    await signIn(party, browser, survivor)
    for (const hint of [ofAbsorbed, ofSurvivor]) {
      const { url } = await silently(party, browser, { id_token_hint: hint })
      expect(url.searchParams.has('code')).toBe(true)
    }
  })
})

describe('a client that did not know the absorbed member', () => {
  const wanting = (sub: string) => ({ claims: JSON.stringify({ id_token: { sub: { value: sub } } }) })

  test('does not learn by asking for it who it is now (section 5.5.1)', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    const browser = openBrowser()
    await signIn(party, browser, survivor)
    await merge(server, survivor, absorbed)
    const { url } = await silently(party, browser, wanting(absorbed.id))
    expect(url.searchParams.get('error')).toBe('login_required')
    const own = await silently(party, browser, wanting(survivor.id))
    expect(own.url.searchParams.has('code')).toBe(true)
  })

  test('is asked for by the sub it knows, not by the one it does not', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    await signIn(party, openBrowser(), absorbed)
    await merge(server, survivor, absorbed)
    const browser = openBrowser()
    await signIn(party, browser, survivor)
    expect((await silently(party, browser, wanting(absorbed.id))).url.searchParams.has('code')).toBe(true)
    expect((await silently(party, browser, wanting(survivor.id))).url.searchParams.get('error')).toBe(
      'login_required',
    )
  })
})

describe('once a merge is undone', () => {
  test('what was given under the absorbed sub ends under it, and each has their own again (section 12.2)', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty({ metadata: { backchannel_logout_uri: receiver.uri('undone') } })
    await toldOf(party, absorbed)
    const done = await merge(server, survivor, absorbed)
    const { claims, refreshed } = await toldOf(party, survivor)
    expect(claims.sub).toBe(absorbed.id)
    await server.app.dispatcher.drain()
    const before = receiver.at('undone').length

    server.advance(2)
    await undo(server, done)
    await server.app.dispatcher.drain()
    expect(
      receiver
        .at('undone')
        .slice(before)
        .map(({ claims: { sub } }) => sub),
    ).toEqual([absorbed.id])
    await expect(oidc.refreshTokenGrant(party.config, refreshed.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    })
    expect(await oidc.tokenIntrospection(party.config, refreshed.access_token)).toMatchObject({
      active: false,
    })
    expect((await toldOf(party, absorbed)).claims.sub).toBe(absorbed.id)
    const own = await toldOf(party, survivor)
    expect(own.claims.sub).toBe(survivor.id)
    expect(JSON.stringify([own.claims, own.userinfo])).not.toContain(absorbed.id)
  })

  test('the survivor is asked anew for what the absorbed member had allowed', async () => {
    const [survivor, absorbed] = await givenTwo()
    const party = await givenParty()
    await toldOf(party, absorbed)
    await undo(server, await merge(server, survivor, absorbed))
    server.advance(2)
    const browser = openBrowser()
    await signIn(await givenParty({ firstParty: true }), browser, survivor)
    const { url } = await silently(party, browser)
    expect(url.searchParams.get('error')).toBe('consent_required')
  })
})
