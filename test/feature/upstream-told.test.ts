import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { OidcConnector } from '../../src/connections/oidc.ts'
import type { StoredEvent } from '../../src/events/event.ts'
import { upstreamSink } from '../../src/linking/tokens/token-vault.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { type GivenMember, givenConnection, givenIdentity, givenMember } from '../support/given.ts'
import { startLinkingApp } from '../support/upstreams.ts'

/** The order of an unlinking, of telling the upstream, and of what comes in between: each moment by itself. */
let server: Awaited<ReturnType<typeof startLinkingApp>>
beforeAll(async () => {
  server = await startLinkingApp()
  // Only what a test delivers is delivered.
  await server.app.dispatcher.stop()
  await givenConnection(server, { id: 'store' })
})
afterAll(() => server.close())

let count = 0
let member: GivenMember
let identityId: string
let event: StoredEvent
beforeEach(async () => {
  member = await givenMember(server)
  identityId = (await linked()).id
  const policy = { sealer: server.sealer, coolOffDays: 7 }
  await unlinkIdentity(server.db, policy, { memberId: member.id, identityId }, server.now())
  const data = { connectionId: 'store', identityId, reason: 'member' }
  event = { id: 'e', type: 'identity.unlinked', memberId: member.id, data, occurredAt: server.now() }
})

const linked = () =>
  givenIdentity(server, { memberId: member.id, connectionId: 'store', subject: `told-${++count}` })
const again = () =>
  givenIdentity(server, { memberId: member.id, connectionId: 'store', subject: `told-${count}` })

/** An upstream that is told, and what happens meanwhile. */
function telling(meanwhile: () => Promise<unknown> = async () => undefined) {
  const told: string[] = []
  const connector: Pick<OidcConnector, 'revoke'> = {
    async revoke(_, __, { refreshToken = '' }) {
      told.push(refreshToken)
      await meanwhile()
    },
  }
  const sink = upstreamSink(server.db, { sealer: server.sealer }, connector, server.now)
  return { told, deliver: () => sink(event) }
}

const tokens = () => server.db.upstreamToken.findUnique({ where: { id: identityId } })

test('a process that dies after telling leaves it to be told again, and then nothing is left', async () => {
  const dying = telling(async () => {
    throw new Error('the process was killed')
  })
  await expect(dying.deliver()).rejects.toThrow('killed')
  expect((await tokens())?.discardedAt).not.toBeNull()
  const { told, deliver } = telling()
  await deliver()
  await deliver()
  expect(told).toEqual(dying.told)
  expect(await tokens()).toBeNull()
})

test('an account that is linked anew before the upstream was told is not ended there', async () => {
  await again()
  const { told, deliver } = telling()
  await deliver()
  expect(told).toEqual([])
  expect((await tokens())?.discardedAt).toBeNull()
})

test('one that is linked anew while the upstream is told keeps its new tokens and needs relinking', async () => {
  const { told, deliver } = telling(again)
  await deliver()
  expect(told).toHaveLength(1)
  expect((await tokens())?.discardedAt).toBeNull()
  const { needsRelinkReason } = await server.db.federatedIdentity.findUniqueOrThrow({
    where: { id: identityId },
  })
  expect(needsRelinkReason).toBe('ended_upstream')
})

test('tokens that are being exchanged are waited for: the upstream is told to end what came of it', async () => {
  await server.db.upstreamToken.update({
    where: { id: identityId },
    data: { refreshingUntil: new Date(server.now().getTime() + 30_000) },
  })
  const { told, deliver } = telling()
  await expect(deliver()).rejects.toThrow('being refreshed')
  expect(told).toEqual([])
  server.advance(31)
  await deliver()
  expect(told).toHaveLength(1)
})
