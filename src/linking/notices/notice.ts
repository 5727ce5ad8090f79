import { recordEvents } from '../../events/outbox.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import type { Tx } from '../../store/db.ts'

/** Who speaks, and so which handler understands it. A new one gets a line here and a handler in `app.ts`. */
export type NoticeSource = 'line_webhook' | 'security_event'

export interface NewNotice {
  connectionId: string
  /** The upstream's own id: what comes again under it is the same notice. */
  noticeId: string
  source: NoticeSource
  /** As JSON; only what its handler needs. */
  body: unknown
}

export interface Notice extends NewNotice {
  id: string
  receivedAt: Date
}

/** Long after any upstream has stopped delivering a notice again. */
const keptDays = 30

/**
 * Keeps notices for their handlers, each once however often it is delivered, and with it the event that leads to its
 * handling. When this has been committed the upstream may be told that we have it. The number of those that were new.
 */
export async function keepNotices(
  tx: Tx,
  { sealer, random }: { sealer: Sealer; random: Random },
  notices: readonly NewNotice[],
  now: Date,
): Promise<number> {
  if (notices.length === 0) return 0
  const kept = await tx.upstreamNotice.createManyAndReturn({
    data: notices.map(({ connectionId, noticeId, source, body }) => {
      const id = random.uuid()
      const sealed = sealer.seal(JSON.stringify({ source, body }), noticeContext(id))
      return { id, connectionId, noticeId, sealed, receivedAt: now }
    }),
    skipDuplicates: true,
    select: { id: true, connectionId: true },
  })
  await recordEvents(
    tx,
    kept.map(({ id, connectionId }) => ({ type: 'upstream.notified', data: { connectionId, noticeId: id } })),
    now,
  )
  return kept.length
}

/** A notice by its own id, handled or not; undefined once it is forgotten. */
export async function findNotice(
  tx: Tx,
  sealer: Sealer,
  id: string,
): Promise<(Notice & { isHandled: boolean }) | undefined> {
  const row = await tx.upstreamNotice.findUnique({ where: { id } })
  if (!row) return undefined
  const { connectionId, noticeId, receivedAt, handledAt } = row
  // Written by `keepNotices` alone.
  const { source, body }: Pick<Notice, 'source' | 'body'> = JSON.parse(
    sealer.open(row.sealed, noticeContext(id)),
  )
  return { id, connectionId, noticeId, source, body, receivedAt, isHandled: handledAt !== null }
}

/** Marks it handled, in the transaction of what comes of it: true for exactly one of those who try. */
export async function takeNotice(tx: Tx, id: string, now: Date): Promise<boolean> {
  const { count } = await tx.upstreamNotice.updateMany({
    where: { id, handledAt: null },
    data: { handledAt: now },
  })
  return count > 0
}

/** Deletes what was handled so long ago that it can be of no more use. */
export async function forgetNotices(tx: Tx, now: Date): Promise<void> {
  const before = new Date(now.getTime() - keptDays * 86_400_000)
  await tx.upstreamNotice.deleteMany({ where: { handledAt: { lt: before } } })
}

export const noticeContext = (id: string) => `upstream notice ${id}`
