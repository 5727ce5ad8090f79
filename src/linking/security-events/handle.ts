import { z } from 'zod'
import { findConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import { endSessionsOf, lockMember } from '../../members/member.ts'
import { type Db, inTransaction, type Tx } from '../../store/db.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { findIdentity } from '../identity.ts'
import { takeNotice } from '../notices/notice.ts'
import type { NoticeHandler } from '../notices/notice-sink.ts'
import { endLink, type UnlinkPolicy } from '../unlink/end-link.ts'
import { markNeedsRelink, mendLink, type RelinkReason } from '../unlink/needs-relink.ts'
import { isLastSignInMethod } from '../unlink/unlink.ts'
import { ways } from '../way.ts'
import { type Reaction, reactionsTo } from './reactions.ts'

/** What is kept of a security event token for its handling. */
export const keptEvents = z.object({
  events: z.array(z.object({ type: z.string(), subject: z.string().optional(), happenedAt: z.number() })),
})
type KeptEvent = z.output<typeof keptEvents>['events'][number]

export interface HandlingDeps {
  db: Db
  policy: UnlinkPolicy
  now: () => Date
}

/** Does what an upstream's security events ask for, all of a notice or nothing, and once. */
export function securityEventHandler({ db, policy, now }: HandlingDeps): NoticeHandler {
  return async ({ id, connectionId, body }) => {
    const { events } = keptEvents.parse(body)
    await inTransaction(db, async (tx) => {
      const connection = await findConnection(tx, connectionId)
      if (!connection || !(await takeNotice(tx, id, now()))) return
      const at = now()
      for (const event of events) {
        const linked = await holdLinked(tx, connection.issuer, event)
        const { memberId, id: identityId } = linked ?? {}
        const isOvertaken = linked !== undefined && hasNewerWord(linked, event)
        const planned = linked && !isOvertaken ? reactionsTo(event.type) : []
        for (const reaction of planned) if (linked) await react(tx, policy, linked, reaction, at)
        const data = {
          ...{ connectionId, event: wordOf(event.type), reactions: planned.map(({ react: word }) => word) },
          ...(identityId && { identityId }),
        }
        await recordEvent(tx, { type: 'upstream.event_handled', ...(memberId && { memberId }), data }, at)
      }
    })
  }
}

/** Holds the member first, as all that ends or makes links does. */
async function holdLinked(
  tx: Tx,
  issuer: string,
  { subject }: KeptEvent,
): Promise<FederatedIdentity | undefined> {
  if (subject === undefined) return undefined
  const seen = await findIdentity(tx, { issuer, subject })
  if (!seen) return undefined
  await lockMember(tx, seen.memberId)
  const held = await findIdentity(tx, { issuer, subject })
  return held?.memberId === seen.memberId ? held : undefined
}

/** Whoever has come from the upstream since then has brought a newer word of it: events arrive late and in any order. */
function hasNewerWord({ linkedAt, lastUsedAt }: FederatedIdentity, { happenedAt }: KeptEvent): boolean {
  const latest = Math.max(linkedAt.getTime(), lastUsedAt?.getTime() ?? 0)
  return Math.floor(latest / 1000) > happenedAt
}

async function react(
  tx: Tx,
  policy: UnlinkPolicy,
  linked: FederatedIdentity,
  reaction: Reaction,
  now: Date,
): Promise<void> {
  const { id, memberId, connectionId } = linked
  switch (reaction.react) {
    case 'needs_relink':
      await markNeedsRelink(tx, id, reaction.reason, now)
      return
    case 'lift':
      return lift(tx, linked, reaction.reason, now)
    case 'unlink':
      // Nobody is left without a way in. But an account that is somebody else's by now is a way in for that somebody.
      if (reaction.reason === 'account_purged' && (await isLastSignInMethod(tx, memberId, id)))
        await markNeedsRelink(tx, id, reaction.reason, now)
      else await endLink(tx, policy, linked, reaction.reason, now)
      return
    case 'end_sessions':
      // Sessions do not say how they began; who has never signed in through it has none that it has to do with.
      if (linked.lastUsedAt) await endSessionsOf(tx, [memberId], { reason: 'upstream', connectionId }, now)
  }
}

async function lift(tx: Tx, linked: FederatedIdentity, reason: RelinkReason, now: Date): Promise<void> {
  if (linked.needsRelinkReason !== reason) return
  const way = ways.find((known) => known === linked.way) ?? 'account_page'
  await mendLink(tx, linked, { connectionId: linked.connectionId, way }, now)
}

/** The last word of an event's URI; what is no known event is called so, because anybody may have made it up. */
function wordOf(type: string): string {
  const word = type.slice(type.lastIndexOf('/') + 1)
  return /^[a-z-]{1,60}$/.test(word) ? word : 'unknown'
}
