import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenMember, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { authorize, begin, relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let member: GivenMember
beforeAll(async () => {
  server = await startTestApp()
  member = await givenMember(server)
})
afterAll(() => server.close())

/** A verifier as long as the rules allow, so that a change of case is still well-formed. */
const verifier = `aB${'c'.repeat(41)}`

describe.each([
  ['public', 'none'],
  ['confidential', 'client_secret_basic'],
] as const)('RFC 7636, %s client', (_, authMethod) => {
  const party = async () => relyingParty(server, await givenClient(server, { authMethod }))

  test.each([
    ['section 4.4.1: no challenge', { code_challenge: '', code_challenge_method: '' }],
    ['section 4.4.1: a method without a challenge', { code_challenge: '' }],
    [
      'RFC 9700 section 2.1.1: the plain method',
      { code_challenge: verifier, code_challenge_method: 'plain' },
    ],
    ['section 4.3: no method, which means plain', { code_challenge: verifier, code_challenge_method: '' }],
    ['section 4.2: a challenge that is none', { code_challenge: 'short' }],
  ])('%s is refused before anybody signs in', async (__, parameters) => {
    const relying = await party()
    const { url, state } = await begin(relying, parameters)
    const { status, headers } = await send(url)
    expect(status).toBe(303)
    const target = new URL(String(headers.location))
    expect(target.origin + target.pathname).toBe(relying.redirectUri)
    expect(target.searchParams.get('error')).toBe('invalid_request')
    expect(target.searchParams.get('state')).toBe(state)
  })

  test.each([
    ['no verifier', undefined],
    ['an empty verifier', ''],
    ['another verifier', oidc.randomPKCECodeVerifier()],
    ['the verifier in another case', verifier.toUpperCase()],
    ['a part of the verifier', verifier.slice(0, -1)],
    ['more than the verifier', `${verifier}c`],
    ['the challenge itself', 'challenge'],
  ])('section 4.6: %s redeems no code', async (__, presented) => {
    const relying = await party()
    const challenge = await oidc.calculatePKCECodeChallenge(verifier)
    const { url } = await begin(relying, { code_challenge: challenge })
    const callback = await authorize(relying, openBrowser(), member, url)
    const form = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: relying.redirectUri,
      ...(presented !== undefined && { code_verifier: presented === 'challenge' ? challenge : presented }),
    }
    const answer = await post(server, '/token', form, { client: relying })
    expect(answer.status).toBe(400)
    // One that cannot be a verifier at all is a fault of the request.
    expect(answer.json.error).toMatch(/^invalid_(grant|request)$/)
    expect(answer.json).not.toHaveProperty('access_token')
  })

  test('section 4.6: the verifier redeems the code', async () => {
    const tokens = await signIn(await party(), openBrowser(), member)
    expect(tokens.claims()?.sub).toBe(member.id)
  })
})

test('RFC 8414 section 2: the metadata offers S256 and nothing else', async () => {
  const { json } = await send(`${server.issuer}/.well-known/openid-configuration`)
  expect(json.code_challenge_methods_supported).toEqual(['S256'])
})
