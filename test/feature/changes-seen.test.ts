import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { suspendMember } from '../../src/members/suspension.ts'
import { disableClient, enableClient, findRegistration, updateClient } from '../../src/oidc/clients/client.ts'
import { deleteClient } from '../../src/oidc/clients/dynamic.ts'
import { newClient } from '../../src/oidc/clients/new-client.ts'
import { revokeGrants } from '../../src/oidc/grant.ts'
import { announceChanges, type Change, type Db, inTransaction, openDb, type Tx } from '../../src/store/db.ts'
import { startTestApp, type TestApp } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { type GivenClient, givenClient, givenMember } from '../support/given.ts'
import { post, send } from '../support/post.ts'
import { relyingParty, signIn } from '../support/relying-party.ts'

let server: TestApp
let peer: Awaited<ReturnType<TestApp['startPeer']>>
/** Another process's way to the database: nobody hears of what is done over it. */
let elsewhere: Db
beforeAll(async () => {
  server = await startTestApp()
  peer = await server.startPeer()
  elsewhere = openDb(server.config.DATABASE_URL ?? '', 2)
})
afterAll(async () => {
  await elsewhere.$disconnect()
  await peer.close()
  await server.close()
})

const origins = () => [server.issuer, peer.origin]
const silently = (work: (tx: Tx) => Promise<unknown>) => inTransaction(elsewhere, work)

async function givenTokens() {
  const [member, client] = [await givenMember(server), await givenClient(server)]
  const party = await relyingParty(server, client)
  const tokens = await signIn(party, openBrowser(), member, { scope: 'openid profile offline_access' })
  return { member, client, token: tokens.access_token }
}

/** What each process says of an access token: userinfo's status. */
const told = (token: string) =>
  Promise.all(
    origins().map(async (origin) => {
      const headers = { host: new URL(server.issuer).host, authorization: `Bearer ${token}` }
      return (await send(`${origin}/userinfo`, { headers })).status
    }),
  )

describe('a change that no process hears of is seen by each within a second', () => {
  let machine: GivenClient
  beforeEach(async () => {
    machine = await givenClient(server, { profile: 'machine' })
    expect(await asked()).toEqual([200, 200])
  })

  const asked = () =>
    Promise.all(
      origins().map(async (origin) => {
        const body = { grant_type: 'client_credentials' }
        return (await post(server, '/token', body, { client: machine, origin })).status
      }),
    )

  test('a client is disabled, and enabled again', async () => {
    await silently((tx) => disableClient(tx, machine.id, server.now()))
    server.advance(1)
    expect(await asked()).toEqual([401, 401])
    await silently((tx) => enableClient(tx, machine.id, server.now()))
    server.advance(1)
    expect(await asked()).toEqual([200, 200])
  })

  test('a client is deleted', async () => {
    await silently((tx) => deleteClient(tx, machine.id, server.now()))
    server.advance(1)
    expect(await asked()).toEqual([401, 401])
  })

  test('a client may do less than before', async () => {
    const registration = await findRegistration(server.db, machine.id)
    const { metadata: _, ...rest } = registration ?? { id: machine.id, name: { ja: 'x', en: 'x' } }
    const web = newClient.parse({ ...rest, profile: 'web', redirectUris: ['https://rp.example.com/cb'] })
    await silently((tx) => updateClient(tx, web, server.now()))
    server.advance(1)
    expect(await asked()).toEqual([400, 400])
  })

  test('of a secret it is the end itself, to the second', async () => {
    const expiresAt = new Date(server.now().getTime() + 5_000)
    await silently((tx) =>
      tx.clientSecret.updateMany({ where: { clientId: machine.id }, data: { expiresAt } }),
    )
    await silently((tx) => tx.client.update({ where: { id: machine.id }, data: { updatedAt: server.now() } }))
    server.advance(1)
    expect(await asked()).toEqual([200, 200])
    server.advance(4)
    expect(await asked()).toEqual([401, 401])
  })

  test.each<[string, (tx: Tx, memberId: string) => Promise<unknown>]>([
    ['what a member allowed is revoked', (tx, memberId) => revokeGrants(tx, { memberId }, server.now())],
    ['a member is suspended', (tx, memberId) => suspendMember(tx, memberId, undefined, server.now())],
  ])('%s', async (_, act) => {
    const { member, token } = await givenTokens()
    expect(await told(token)).toEqual([200, 200])
    await silently((tx) => act(tx, member.id))
    server.advance(1)
    expect(await told(token)).toEqual([401, 401])
  })
})

test('a change that a process makes itself is seen by its next request', async () => {
  const { member, token } = await givenTokens()
  expect(await told(token)).toEqual([200, 200])
  await inTransaction(server.db, (tx) => revokeGrants(tx, { memberId: member.id }, server.now()))
  expect(await told(token)).toEqual([401, 401])
})

test('a change that was rolled back is told to nobody, and one that was committed is', async () => {
  const { member, token } = await givenTokens()
  const heard: Change[] = []
  announceChanges(server.db, (change) => heard.push(change))
  const attempt = inTransaction(server.db, async (tx) => {
    await revokeGrants(tx, { memberId: member.id }, server.now())
    throw new RangeError('something else went wrong')
  })
  await expect(attempt).rejects.toThrow(RangeError)
  expect(heard).toEqual([])
  expect(await told(token)).toEqual([200, 200])
  await inTransaction(server.db, (tx) => revokeGrants(tx, { memberId: member.id }, server.now()))
  expect(heard).toEqual([{ topic: 'grant', id: '*' }])
})
