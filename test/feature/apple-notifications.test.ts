import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AppleServer, appleClient, startAppleServer } from '../support/apple-server.ts'
import { givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { changesOf } from '../support/linking.ts'
import { type Answer, send } from '../support/post.ts'
import { startLinkingApp } from '../support/upstreams.ts'

let server: Awaited<ReturnType<typeof startLinkingApp>>
let apple: AppleServer
beforeAll(async () => {
  server = await startLinkingApp()
  apple = await startAppleServer()
  server.privateHosts.push(new URL(apple.issuer).host)
  const { id: clientId, ...signer } = appleClient
  await givenConnection(server, {
    ...{ id: 'apple', kind: 'apple', issuer: apple.issuer, clientId, clientSecret: apple.p8 },
    settings: { signer },
  })
})
afterAll(() => Promise.all([server.close(), apple.close()]))

let count = 0
let sub: string
let identityId: string
beforeEach(async () => {
  sub = `000${++count}.account`
  const { id: memberId } = await givenMember(server)
  identityId = (await givenIdentity(server, { memberId, connectionId: 'apple', subject: sub })).id
})

const seconds = () => Math.floor(server.now().getTime() / 1000) + 2
/** Milliseconds in the event, seconds around it: as Apple has it. */
const event = (type: string, more: object = {}) =>
  JSON.stringify({ type, sub, event_time: seconds() * 1000, ...more })

const push = (body: string, contentType = 'application/json'): Promise<Answer> =>
  send(`${server.issuer}/connections/apple/events`, {
    method: 'POST',
    headers: { 'content-type': contentType },
    body,
  })

async function tell(events: string) {
  const body = await apple.notify({ iat: seconds(), events })
  const { result, ...changes } = await changesOf(server, () => push(body))
  return { status: result.status, rows: changes.rows, types: changes.events.map(({ type }) => type) }
}

const link = () => server.db.federatedIdentity.findUnique({ where: { id: identityId } })
const received = ['upstream.notified', 'upstream.event_handled']

describe('a notification is refused', () => {
  test.each([
    [
      'that is for another application',
      () => apple.notify({ iat: seconds(), aud: 'other', events: event('x') }),
    ],
    [
      'that is of nobody',
      () => apple.notify({ iat: seconds(), iss: 'https://x.example', events: event('x') }),
    ],
    ['whose event is no JSON', () => apple.notify({ iat: seconds(), events: '{' })],
    [
      'whose event is about nobody',
      () => apple.notify({ iat: seconds(), events: '{"type":"account-delete"}' }),
    ],
    ['without a payload', async () => '{}'],
    ['that is no JSON', async () => 'payload'],
  ])('%s', async (_, given) => {
    const body = await given()
    const { result, ...changes } = await changesOf(server, () => push(body))
    expect(result.status).toBe(400)
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('that comes as another kind of upstream does it', async () => {
    const { payload } = JSON.parse(await apple.notify({ iat: seconds(), events: event('account-delete') }))
    expect((await push(payload, 'application/secevent+jwt')).status).toBe(400)
    expect(await link()).not.toBeNull()
  })
})

test('consent-revoked: the link needs relinking', async () => {
  const { status, types } = await tell(event('consent-revoked'))
  expect([status, types]).toEqual([
    202,
    ['upstream.notified', 'identity.relink_required', 'upstream.event_handled'],
  ])
  expect((await link())?.needsRelinkReason).toBe('consent_revoked')
})

test.each(['account-delete', 'account-deleted'])('%s: the link ends', async (type) => {
  expect((await tell(event(type))).types).toContain('identity.unlinked')
  expect(await link()).toBeNull()
})

test.each(['email-disabled', 'email-enabled'])('%s: is written down', async (type) => {
  const more = { email: 'relay@privaterelay.appleid.com', is_private_email: 'true' }
  const { rows, types } = await tell(event(type, more))
  expect([rows, types]).toEqual([{}, received])
  const events = await server.db.event.findMany({ where: { type: 'upstream.event_handled' } })
  expect(JSON.stringify(events.map(({ data }) => data))).not.toContain('privaterelay')
})
