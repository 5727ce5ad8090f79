import { setTimeout as delay } from 'node:timers/promises'
import { findConnection, holdUsableConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { lockMember } from '../../members/member.ts'
import type { HandedOut, HandOut } from '../../oidc/upstream-token.ts'
import { Problem } from '../../problem.ts'
import { inTransaction, type Tx } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { FederatedIdentity, UpstreamToken } from '../../store/generated/client.ts'
import { type RefreshDeps, refreshStored } from './refresh.ts'
import { openTokens } from './token-vault.ts'

/** One client for one member: it may ask again whenever it needs it, but not instead of keeping what it got. */
const budget: Budget = { name: 'upstream-token', limit: 60, windowSeconds: 600 }

/** A token with less than this left is exchanged before it is handed out. */
const marginSeconds = 60
/** How long somebody else's refresh is waited for. */
const patience = { tries: 40, intervalMs: 150 }

type Asked = Parameters<HandOut>[0]
interface Stored {
  identity: FederatedIdentity
  row: UpstreamToken
}

/**
 * Hands a member's upstream token to a client. In turn with unlinking, with disabling the connection and with taking the
 * right from the client, so that nothing is handed out after any of them; what is handed out is told by event.
 */
export function handOutTokens(deps: RefreshDeps & { store: Ephemeral }): HandOut {
  return async (asked) => {
    await spend(deps.store, budget, `${asked.clientId}:${asked.memberId}`)
    for (let tries = 0; tries < patience.tries; tries += 1) {
      const found = await findStored(deps.db, asked)
      if ('outcome' in found) return found
      const secondsLeft = secondsLeftOf(found.row, deps.now())
      if (secondsLeft === undefined || secondsLeft > marginSeconds) {
        const handed = await give(deps, asked, found)
        if (handed) return handed
        continue
      }
      const answer = await refreshFor(deps, found, asked)
      if (answer === 'again') continue
      // It cannot be exchanged, or not now; while it is good it is good enough.
      if (secondsLeft > 0) return (await give(deps, asked, found)) ?? { outcome: 'not_linked' }
      if (answer !== 'busy') return { outcome: answer }
      await delay(patience.intervalMs)
    }
    throw new Problem('unavailable')
  }
}

async function refreshFor(
  deps: RefreshDeps,
  { row }: Stored,
  { connectionId }: Asked,
): Promise<'again' | 'busy' | 'expired'> {
  const connection = await findConnection(deps.db, connectionId)
  if (!connection || connection.disabledAt) return 'again'
  const outcome = await refreshStored(deps, connection, row).catch((cause: unknown) => {
    throw new Problem('upstream_unreachable', { cause })
  })
  if (outcome === 'unrefreshable') return 'expired'
  return outcome === 'busy' ? 'busy' : 'again'
}

/** Of several accounts at one connection, the one that was linked last. */
async function findStored(tx: Tx, { memberId, connectionId }: Asked): Promise<Stored | HandedOut> {
  const identity = await tx.federatedIdentity.findFirst({
    where: { memberId, connectionId, connection: { disabledAt: null } },
    orderBy: { linkedAt: 'desc' },
  })
  if (!identity) return { outcome: 'not_linked' }
  if (identity.needsRelinkSince) return { outcome: 'needs_relink' }
  const row = await tx.upstreamToken.findFirst({ where: { id: identity.id, discardedAt: null } })
  return row ? { identity, row } : { outcome: 'expired' }
}

function secondsLeftOf({ expiresAt }: UpstreamToken, now: Date): number | undefined {
  return expiresAt ? Math.floor((expiresAt.getTime() - now.getTime()) / 1000) : undefined
}

/** Undefined when it has been changed since it was read. */
async function give(
  { db, vault, now }: RefreshDeps,
  asked: Asked,
  { identity, row }: Stored,
): Promise<HandedOut | undefined> {
  const { memberId, clientId, connectionId } = asked
  return inTransaction(db, async (tx): Promise<HandedOut | undefined> => {
    if (!(await isHeldUsable(tx, connectionId))) return { outcome: 'not_linked' }
    if ((await lockMember(tx, memberId))?.status !== 'active') return { outcome: 'not_linked' }
    const allowed = await tx.clientConnection.count({ where: { clientId, connectionId, handsOut: true } })
    if (allowed === 0) return { outcome: 'not_allowed' }
    const live = await findStored(tx, asked)
    if ('outcome' in live) return live
    if (live.row.id !== row.id || live.row.sealed !== row.sealed) return undefined
    const data = { clientId, connectionId, identityId: identity.id }
    await recordEvent(tx, { type: 'upstream_token.handed_out', memberId, data }, now())
    const { accessToken } = openTokens(vault, row)
    return { outcome: 'handed_out', accessToken, expiresInSeconds: secondsLeftOf(row, now()) }
  })
}

async function isHeldUsable(tx: Tx, connectionId: string): Promise<boolean> {
  try {
    await holdUsableConnection(tx, connectionId)
    return true
  } catch (error) {
    if (error instanceof Problem && error.code === 'connection_unavailable') return false
    throw error
  }
}
