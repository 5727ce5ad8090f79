import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { givenIdentity, givenMember } from '../support/given.ts'
import { changesOf } from '../support/linking.ts'
import { type Answer, send } from '../support/post.ts'
import type { UpstreamProvider } from '../support/upstream-provider.ts'
import { givenUpstream, startLinkingApp } from '../support/upstreams.ts'

const risc = 'https://schemas.openid.net/secevent/risc/event-type/'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let upstream: UpstreamProvider
beforeAll(async () => {
  server = await startLinkingApp()
  upstream = await givenUpstream(server, { id: 'store' })
  const member = await givenMember(server)
  await givenIdentity(server, { memberId: member.id, connectionId: 'store', subject: 'holder' })
})
afterAll(() => Promise.all([server.close(), upstream.close()]))

type Claims = Record<string, unknown>

const good = (claims: Claims = {}): Claims => ({
  iss: upstream.issuer,
  aud: 'hitotsu',
  jti: randomUUID(),
  exp: undefined,
  sub: undefined,
  // After the link was made.
  iat: Math.floor(server.now().getTime() / 1000) + 2,
  events: { [`${risc}account-purged`]: subjectOf() },
  ...claims,
})
const subjectOf = (iss = upstream.issuer) => ({ subject: { subject_type: 'iss-sub', iss, sub: 'holder' } })
const sign = (claims: Claims, header: Record<string, string> = {}, key?: JWK) =>
  upstream.mintIdToken(claims, { typ: 'secevent+jwt', ...header }, key)

const push = (token: string, headers: Record<string, string> = {}): Promise<Answer> =>
  send(`${server.issuer}/connections/store/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json', ...headers },
    body: token,
  })

async function expectRefused(token: Promise<string> | string, err: string) {
  const posted = await token
  const { result, ...changes } = await changesOf(server, () => push(posted))
  expect([result.status, result.json.err]).toEqual([400, err])
  expect(changes).toEqual({ rows: {}, events: [] })
  expect(await server.db.upstreamNotice.count()).toBe(0)
}

describe('a token is refused', () => {
  test.each<[string, () => Claims, string]>([
    ['of another issuer', () => ({ iss: 'https://elsewhere.example.com' }), 'invalid_issuer'],
    ['without an issuer', () => ({ iss: undefined }), 'invalid_issuer'],
    ['for another audience', () => ({ aud: 'somebody-else' }), 'invalid_audience'],
    ['without an audience', () => ({ aud: undefined }), 'invalid_audience'],
    ['without jti', () => ({ jti: undefined }), 'invalid_request'],
    ['with a jti of no sensible length', () => ({ jti: 'x'.repeat(300) }), 'invalid_request'],
    ['without iat', () => ({ iat: undefined }), 'invalid_request'],
    ['from the future', () => ({ iat: nowSeconds() + 600 }), 'invalid_request'],
    [
      'from so long ago that a copy would not be known',
      () => ({ iat: nowSeconds() - 15 * 86_400 }),
      'invalid_request',
    ],
    ['without events', () => ({ events: undefined }), 'invalid_request'],
    ['with no event in it', () => ({ events: {} }), 'invalid_request'],
    ['with events that are a list', () => ({ events: [`${risc}account-purged`] }), 'invalid_request'],
    [
      'with an event that is no object',
      () => ({ events: { [`${risc}account-purged`]: 'now' } }),
      'invalid_request',
    ],
  ])('%s', async (_, claims, err) => {
    await expectRefused(sign(good(claims())), err)
  })

  test.each([
    ['as an ID token', 'JWT'],
    ['as a logout token', 'logout+jwt'],
    ['as an access token', 'at+jwt'],
  ])('RFC 8725 section 3.11: %s', async (_, typ) => {
    await expectRefused(sign(good(), { typ }), 'invalid_request')
  })

  test('without a type', async () => {
    await expectRefused(upstream.mintIdToken(good()), 'invalid_request')
  })

  test('signed with another key', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    await expectRefused(sign(good(), {}, await exportJWK(privateKey)), 'authentication_failed')
  })

  test('signed with a key that the issuer does not publish', async () => {
    await expectRefused(sign(good(), { kid: 'not-published' }), 'invalid_key')
  })

  test('RFC 8725 section 3.1: unsigned', async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    await expectRefused(
      `${part({ alg: 'none', typ: 'secevent+jwt' })}.${part(good())}.`,
      'authentication_failed',
    )
  })

  test('signed with the secret we share', async () => {
    const secret = Buffer.from('a secret of one test').toString('base64url')
    await expectRefused(sign(good(), { alg: 'HS256' }, { kty: 'oct', k: secret }), 'authentication_failed')
  })

  test('changed after it was signed', async () => {
    const [header, , signature] = (await sign(good())).split('.')
    const payload = Buffer.from(JSON.stringify(good({ jti: 'changed' }))).toString('base64url')
    await expectRefused([header, payload, signature].join('.'), 'authentication_failed')
  })

  test.each(['', 'no.token', '{}', 'a.b.c'])('that is none: %j', async (text) => {
    await expectRefused(text, 'invalid_request')
  })
})

const nowSeconds = () => Math.floor(server.now().getTime() / 1000)

test('an account of another issuer is none of ours, whoever signs for it', async () => {
  const events = { [`${risc}account-purged`]: subjectOf('https://elsewhere.example.com') }
  const posted = await sign(good({ events }))
  const { result, ...changes } = await changesOf(server, () => push(posted))
  expect(result.status).toBe(202)
  expect(changes.rows).toEqual({})
  expect(changes.events.map(({ type, memberId }) => [type, memberId])).toEqual([
    ['upstream.notified', null],
    ['upstream.event_handled', null],
  ])
})
