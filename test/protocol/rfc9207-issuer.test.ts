import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { send } from '../support/post.ts'
import { authorize, begin, type RelyingParty, redeem, relyingParty } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
let party: RelyingParty
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
  party = await relyingParty(server, await givenClient(server))
})
afterAll(() => server.close())

describe('RFC 9207: who answered is in the answer', () => {
  test('section 2.4: a relying party refuses an answer that another issuer is named in', async () => {
    const attempt = await begin(party)
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    callback.searchParams.set('iss', 'https://evil.example')
    await expect(redeem(party, callback, attempt)).rejects.toThrow(oidc.ClientError)
  })

  test('section 2.4: a relying party refuses an answer without an issuer, because the metadata promises one', async () => {
    const attempt = await begin(party)
    const callback = await authorize(party, openBrowser(), member, attempt.url)
    callback.searchParams.delete('iss')
    await expect(redeem(party, callback, attempt)).rejects.toThrow(oidc.ClientError)
  })

  test.each([
    ['a request that is refused', { response_type: 'token' }],
    ['a sign-in that may not be asked for', { prompt: 'none' }],
    ['a missing challenge', { code_challenge: '' }],
  ])('section 2: the error of %s names it', async (_, parameters) => {
    const { headers } = await send((await begin(party, parameters)).url)
    const target = new URL(String(headers.location))
    const answer = new URLSearchParams(target.search || target.hash.slice(1))
    expect(answer.get('error')).not.toBeNull()
    expect(answer.get('iss')).toBe(server.issuer)
  })

  test('section 2: the error of a member who cancels names it', async () => {
    const browser = openBrowser()
    browser.stopAt(party.redirectUri)
    const page = await browser.open((await begin(party)).url)
    const { searchParams } = (await browser.submit(page, '/cancel')).url
    expect(searchParams.get('error')).toBe('access_denied')
    expect(searchParams.get('iss')).toBe(server.issuer)
  })

  test('section 2: the answer with a code names it', async () => {
    const callback = await authorize(party, openBrowser(), member, (await begin(party)).url)
    expect(callback.searchParams.get('iss')).toBe(server.issuer)
  })

  test('section 3: the metadata says so', async () => {
    const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
    expect(json.authorization_response_iss_parameter_supported).toBe(true)
  })
})
