import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { authorize, begin, redeem, relyingParty, signIn } from '../support/relying-party.ts'

const scopes = ['openid', 'profile', 'email', 'address', 'phone']

/** What the standard claims of OpenID Connect Core 5.1 are stored as, all of them. */
const everything = {
  familyName: 'Suzuki',
  givenName: 'Hanako',
  middleName: 'Mei',
  nickname: 'Hana',
  preferredUsername: 'hana',
  profile: 'https://profile.example.com/hana',
  picture: 'https://profile.example.com/hana.png',
  website: 'https://hana.example.com',
  gender: 'female',
  birthdate: '1990-04-01',
  zoneinfo: 'Asia/Tokyo',
  locale: 'ja',
  phoneNumber: '+81312345678',
  address: {
    formatted: '1-1 Chiyoda\nTokyo 100-0001\nJP',
    street_address: '1-1 Chiyoda',
    locality: 'Chiyoda',
    region: 'Tokyo',
    postal_code: '100-0001',
    country: 'JP',
  },
}

let server: TestApp
let member: GivenMember
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  await server.db.member.update({
    where: { id: member.id },
    data: { ...everything, phoneVerifiedAt: server.now() },
  })
})
afterAll(() => server.close())

describe('OpenID Connect Core 1.0: requests as relying parties of any age send them', () => {
  test('a client cannot register for an ID token that nobody signed', () => {
    const input = { id: 'unsigned', name: { ja: 'x', en: 'x' }, redirectUris: ['https://rp.example.com/cb'] }
    expect(newClient.safeParse({ ...input, idTokenSigningAlg: 'none' }).success).toBe(false)
  })

  test('without a nonce there is none in the ID token', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const attempt = await begin(party, { nonce: '' })
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    const tokens = await oidc.authorizationCodeGrant(party.config, callback, {
      pkceCodeVerifier: attempt.codeVerifier,
      expectedState: attempt.state,
    })
    expect(tokens.claims()).not.toHaveProperty('nonce')
  })

  test('a parameter nobody knows changes nothing', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const parameters = { extra: 'foobar', claims_locales: 'ja en' }
    const tokens = await signIn(party, openBrowser(), member, parameters)
    expect(tokens.claims()?.sub).toBe(member.id)
  })

  test('a client may send its secret in the form instead', async () => {
    const client = await givenClient(server, { authMethod: 'client_secret_post' })
    const party = await relyingParty(server, client, oidc.ClientSecretPost(client.secret))
    expect((await signIn(party, openBrowser(), member)).claims()?.sub).toBe(member.id)
  })

  test('scopes may come in any order', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const tokens = await signIn(party, openBrowser(), member, { scope: 'email openid' })
    expect(tokens.scope?.split(' ').sort()).toEqual(['email', 'openid'])
  })

  test('every scope of section 5.4 gives every claim it stands for', async () => {
    const party = await relyingParty(server, await givenClient(server, { scopes }))
    const { access_token } = await signIn(party, openBrowser(), member, { scope: scopes.join(' ') })
    const userinfo = await oidc.fetchUserInfo(party.config, access_token, member.id)
    const standard = { ...userinfo, updated_at: undefined }
    expect(standard).toEqual({
      sub: member.id,
      name: member.name,
      family_name: everything.familyName,
      given_name: everything.givenName,
      middle_name: everything.middleName,
      nickname: everything.nickname,
      preferred_username: everything.preferredUsername,
      profile: everything.profile,
      picture: everything.picture,
      website: everything.website,
      gender: everything.gender,
      birthdate: everything.birthdate,
      zoneinfo: everything.zoneinfo,
      locale: everything.locale,
      email: member.email,
      email_verified: true,
      phone_number: everything.phoneNumber,
      phone_number_verified: true,
      address: everything.address,
    })
    expect(userinfo.updated_at).toEqual(expect.any(Number))
  })

  test('RFC 9110 section 11.1: the scheme of an access token is read in any letter case', async () => {
    const party = await relyingParty(server, await givenClient(server))
    const { access_token } = await signIn(party, openBrowser(), member)
    const authorization = `bEaReR ${access_token}`
    expect((await send(`${server.issuer}/userinfo`, { headers: { authorization } })).json.sub).toBe(member.id)
  })

  test('section 5.3.2: a client that asks for it gets userinfo signed with RS256', async () => {
    const metadata = { userinfo_signed_response_alg: 'RS256' }
    const party = await relyingParty(server, await givenClient(server, { metadata }))
    const attempt = await begin(party)
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    const { access_token } = await redeem(party, callback, attempt)
    const headers = { authorization: `Bearer ${access_token}` }
    const answer = await send(`${server.issuer}/userinfo`, { headers })
    expect(answer.headers['content-type']).toMatch(/^application\/jwt/)
    const keys = createRemoteJWKSet(new URL(`${server.issuer}/jwks`))
    const { payload, protectedHeader } = await jwtVerify(answer.text, keys, {
      issuer: server.issuer,
      audience: party.id,
    })
    expect(protectedHeader.alg).toBe('RS256')
    expect(payload.sub).toBe(member.id)
  })
})
