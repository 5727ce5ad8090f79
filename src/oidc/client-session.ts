import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider'
import { recordEvents } from '../events/outbox.ts'
import type { Db, Tx } from '../store/db.ts'
import type { ClientSession } from '../store/generated/client.ts'

/** As long as a grant: nobody knows for how long a relying party keeps the session of its own. */
const lifetimeMs = 400 * 86_400_000
/** Expired rows that are removed in one go. */
const sweepSize = 1_000

/**
 * Codes of clients that want to hear of sign-outs (OpenID Connect Back-Channel Logout 1.0). Their session is written down
 * before the code can be redeemed: there is none that could not be ended. Other clients pay nothing for it.
 */
export function noteSessions(adapter: Adapter, db: Db, now: () => Date): Adapter {
  return {
    ...adapter,
    async upsert(id, payload, expiresIn) {
      const session = sessionInHand(payload)
      if (session) {
        const { sid } = session
        const row = { ...session, expiresAt: new Date(now().getTime() + lifetimeMs) }
        await db.clientSession.upsert({ where: { sid }, create: row, update: row })
      }
      await adapter.upsert(id, payload, expiresIn)
    },
  }
}

/** The session that the code of this request is given in, if its client wants to hear of its end. */
function sessionInHand({ accountId }: AdapterPayload): Omit<ClientSession, 'expiresAt'> | undefined {
  const { client, session } = Provider.ctx?.oidc ?? {}
  if (!accountId || !session || !client?.backchannelLogoutUri) return undefined
  const { clientId } = client
  const sid = session.sidFor(clientId)
  if (!sid || session.loginTs === undefined) return undefined
  return { sid, clientId, memberId: accountId, startedAt: new Date(session.loginTs * 1000) }
}

type Ended = Pick<ClientSession, 'sid' | 'clientId' | 'memberId'>

/** Ends one session. The end of each is told once: nothing happens when it was told already. */
export async function endClientSession(tx: Tx, sid: string, now: Date): Promise<void> {
  const ended = await tx.$queryRaw<Ended[]>`
    DELETE FROM "ClientSession" WHERE "sid" = ${sid} RETURNING "sid", "clientId", "memberId"`
  await tellEnds(tx, ended, now)
}

/** Ends those of the member's sessions that no longer count, in all browsers. Asked again, it finds none. */
export async function endSessionsBefore(tx: Tx, memberId: string, now: Date): Promise<void> {
  const ended = await tx.$queryRaw<Ended[]>`
    DELETE FROM "ClientSession" s USING "Member" m
    WHERE m."id" = ${memberId}::uuid AND s."memberId" = m."id" AND s."startedAt" < m."sessionsValidFrom"
    RETURNING s."sid", s."clientId", s."memberId"`
  await tellEnds(tx, ended, now)
}

/** Ends the member's sessions at one client, but for those with a code from after `revokedAt`: they were allowed anew. */
export async function endSessionsAt(
  tx: Tx,
  { memberId, clientId, revokedAt }: { memberId: string; clientId: string; revokedAt: Date },
  now: Date,
): Promise<void> {
  const expiresAt = new Date(revokedAt.getTime() + lifetimeMs)
  const ended = await tx.$queryRaw<Ended[]>`
    DELETE FROM "ClientSession"
    WHERE "memberId" = ${memberId}::uuid AND "clientId" = ${clientId} AND "expiresAt" <= ${expiresAt}
    RETURNING "sid", "clientId", "memberId"`
  await tellEnds(tx, ended, now)
}

async function tellEnds(tx: Tx, ended: readonly Ended[], now: Date): Promise<void> {
  if (ended.length === 0) return
  const events = ended.map(
    ({ sid, clientId, memberId }) =>
      ({ type: 'session.logged_out', memberId, data: { clientId, sid } }) as const,
  )
  await recordEvents(tx, events, now)
}

/** Removes sessions that nobody ended in all their time; nobody is told. */
export async function sweepClientSessions(tx: Tx, now: Date): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM "ClientSession" WHERE "sid" IN (
      SELECT "sid" FROM "ClientSession" WHERE "expiresAt" <= ${now} LIMIT ${sweepSize})`
}
