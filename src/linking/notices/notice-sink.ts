import type { Sink } from '../../events/dispatcher.ts'
import type { Sealer } from '../../security/seal.ts'
import type { Db } from '../../store/db.ts'
import { findNotice, forgetNotices, type Notice, type NoticeSource, takeNotice } from './notice.ts'

/** Does what a notice asks for. May see it again, also in two processes at once; rejecting means "try later". */
export type NoticeHandler = (notice: Notice) => Promise<void>

/**
 * Sink: hands each kept notice to the handler of its source, and marks it handled if the handler has not. What a newer
 * process has kept and this one knows no handler for waits for the newer one.
 */
export function noticeSink(
  { db, sealer, now }: { db: Db; sealer: Sealer; now: () => Date },
  handlers: Partial<Record<NoticeSource, NoticeHandler>>,
): Sink {
  return async (event) => {
    if (event.type !== 'upstream.notified') return
    const notice = await findNotice(db, sealer, event.data.noticeId)
    if (!notice || notice.isHandled) return
    const handle = handlers[notice.source]
    if (!handle) throw new Error(`no handler for notices of ${notice.source}`)
    await handle(notice)
    await takeNotice(db, notice.id, now())
    await forgetNotices(db, now())
  }
}
