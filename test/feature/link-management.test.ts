import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findRegistration, updateClient } from '../../src/oidc/clients/client.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { inTransaction } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import {
  type GivenClient,
  type GivenMember,
  givenClient,
  givenConnection,
  givenIdentity,
  givenMember,
} from '../support/given.ts'
import { apiToken, callApi, givenShop } from '../support/link-api.ts'
import { changesOf } from '../support/linking.ts'
import { mailTo } from '../support/mailbox.ts'
import { post, send } from '../support/post.ts'

let server: TestApp
let manager: GivenClient
beforeAll(async () => {
  server = await startTestApp()
  manager = await givenClient(server, { profile: 'machine', managesLinks: true })
})
afterAll(() => server.close())

let connectionId: string
let member: GivenMember
let token: string
beforeEach(async () => {
  connectionId = (await givenConnection(server)).id
  member = await givenMember(server)
  token = await apiToken(server, manager, 'links:manage')
})

const link = (change: Record<string, unknown> = {}) => ({
  ...{ member: member.id, connection: connectionId, subject: 's-1', name: 'Hanako at the shop' },
  ...{ agreed_at: '2026-04-01T09:00:00+09:00', terms_version: '2026-03', statement: 'Agreed by telephone' },
  ...change,
})
const add = (body: unknown, by: string | undefined = token) => callApi(server, '/links', body, { token: by })
const call = (method: string, path: string, by = token) =>
  send(new URL(`/api${path}`, server.issuer), { method, headers: { authorization: `Bearer ${by}` } })

describe('nothing is done', () => {
  test('for who is not registered to manage links, whatever else they may do', async () => {
    const shop = await givenShop(server, 'shop')
    const vouching = await apiToken(server, shop)
    const identity = await givenIdentity(server, { memberId: member.id, connectionId })
    const { result, ...changes } = await changesOf(server, () =>
      Promise.all([
        add(link(), vouching),
        call('DELETE', `/links/${identity.id}`, vouching),
        call('GET', `/members/${member.id}/links`, vouching),
      ]),
    )
    for (const answer of result) {
      expect(answer.status).toBe(403)
      expect(answer.json).toMatchObject({ code: 'insufficient_scope' })
      expect(answer.headers['www-authenticate']).toContain('links:manage')
    }
    expect(changes).toEqual({ rows: {}, events: [] })
    const resource = `${server.issuer}/api`
    const asked = { grant_type: 'client_credentials', resource, scope: 'links:manage' }
    expect((await post(server, '/token', asked, { client: shop })).json).not.toHaveProperty('scope')
  })

  test('without a token, with a foreign one, or once the client may not any more', async () => {
    for (const by of [undefined, 'x'.repeat(43)])
      expect(await callApi(server, '/links', link(), { token: by })).toMatchObject({ status: 401 })
    const former = await givenClient(server, { profile: 'machine', managesLinks: true })
    const old = await apiToken(server, former, 'links:manage')
    const registered = await findRegistration(server.db, former.id)
    const change = newClient.parse({ ...registered, managesLinks: false })
    await inTransaction(server.db, (tx) => updateClient(tx, change, server.now()))
    expect(await add(link(), old)).toMatchObject({ status: 403 })
  })

  test.each<[string, () => Promise<Record<string, unknown>> | Record<string, unknown>, number, string]>([
    ['for what is not said in full', () => ({ statement: '' }), 400, 'invalid_input'],
    ['for what is said too much', () => ({ email_verified: true }), 400, 'invalid_input'],
    ['for an agreement of tomorrow', () => ({ agreed_at: '2999-01-01T00:00:00Z' }), 400, 'invalid_input'],
    ['for a member nobody is', () => ({ member: randomUUID() }), 403, 'account_unavailable'],
    ['for a connection there is not', () => ({ connection: 'nowhere' }), 404, 'connection_unavailable'],
    [
      'for an account of another member',
      async () => {
        const { id } = await givenMember(server)
        await givenIdentity(server, { memberId: id, connectionId, subject: 's-taken' })
        return { subject: 's-taken' }
      },
      409,
      'identity_linked_to_another_member',
    ],
    [
      'for a second account of a connection',
      async () => {
        await givenIdentity(server, { memberId: member.id, connectionId })
        return {}
      },
      409,
      'already_linked',
    ],
  ])('%s', async (_, given, status, code) => {
    const body = link(await given())
    const { result, ...changes } = await changesOf(server, () => add(body))
    expect(result).toMatchObject({ status, json: { code } })
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('to the last way a member has to sign in', async () => {
    const identity = await givenIdentity(server, { memberId: member.id, connectionId })
    await server.db.passwordCredential.deleteMany({ where: { memberId: member.id } })
    const { result, ...changes } = await changesOf(server, () => call('DELETE', `/links/${identity.id}`))
    expect(result).toMatchObject({ status: 409, json: { code: 'last_sign_in_method' } })
    expect(changes).toEqual({ rows: {}, events: [] })
  })

  test('to a link there is not', async () => {
    for (const id of [randomUUID(), 'x', '..%2f..'])
      expect(await call('DELETE', `/links/${id}`)).toMatchObject({ status: 404 })
    for (const id of [randomUUID(), 'x'])
      expect(await call('GET', `/members/${id}/links`)).toMatchObject({ status: 404 })
  })
})

test('a link is made on the statement, told to the member, and stated again is the same link', async () => {
  const { result, ...changes } = await changesOf(server, () => add(link()))
  const identity = await server.db.federatedIdentity.findFirstOrThrow({ where: { memberId: member.id } })
  const consent = await server.db.linkConsent.findFirstOrThrow({ where: { memberId: member.id } })
  expect(result.status).toBe(201)
  expect(result.json).toMatchObject({
    ...{ id: identity.id, member: member.id, connection: connectionId, subject: 's-1', way: 'management' },
    ...{ profile: { name: 'Hanako at the shop' }, status: 'linked' },
  })
  const trail = { connectionId, way: 'management', clientId: manager.id }
  expect(changes).toEqual({
    rows: { FederatedIdentity: '+1', LinkConsent: '+1' },
    events: [
      {
        type: 'identity.linked',
        memberId: member.id,
        data: { ...trail, identityId: identity.id, consentId: consent.id, purpose: 'link' },
      },
    ],
  })
  expect(consent).toMatchObject({
    ...{ agreedAt: new Date('2026-04-01T00:00:00Z'), termsVersion: '2026-03', clientId: manager.id },
    place: { statement: 'Agreed by telephone' },
  })
  await mailTo(server, member.email, /An account was linked/)
  const again = await changesOf(server, () => Promise.all([add(link()), add(link())]))
  for (const answer of again.result) expect(answer).toMatchObject({ status: 200, json: { id: identity.id } })
  expect(again).toMatchObject({ rows: {}, events: [] })
})

test('ten that state one link at once make one', async () => {
  const { result, ...changes } = await changesOf(server, () =>
    Promise.all(Array.from({ length: 10 }, () => add(link()))),
  )
  expect(result.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 201])
  expect(changes.rows).toEqual({ FederatedIdentity: '+1', LinkConsent: '+1' })
})

test('links of a member are listed and ended, and the member is told', async () => {
  await add(link())
  const { json } = await call('GET', `/members/${member.id}/links`)
  expect(json).toMatchObject({
    member: member.id,
    status: 'active',
    links: [{ subject: 's-1', status: 'linked' }],
  })
  const [{ id }] = json.links as [{ id: string }]
  const { result, ...changes } = await changesOf(server, () => call('DELETE', `/links/${id}`))
  expect(result.status).toBe(204)
  expect(changes.rows).toMatchObject({ FederatedIdentity: '-1', FormerIdentity: '+1', LinkConsent: '~1' })
  const data = { connectionId, identityId: id, reason: 'management' }
  expect(changes.events).toEqual([{ type: 'identity.unlinked', memberId: member.id, data }])
  await mailTo(server, member.email, /An account was unlinked/)
  expect(await call('DELETE', `/links/${id}`)).toMatchObject({ status: 404 })
})
