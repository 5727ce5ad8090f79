import type { DomainEvent } from '../../events/event.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { LinkDeps } from '../link.routes.ts'
import { trailOf } from '../way.ts'
import { progressOf } from './progress.ts'
import { changeQr, type QrLink } from './qr-link.ts'

/** Ends it at both ends, once, and records why. What has ended already stays as it ended. */
export async function endQr(
  deps: Pick<LinkDeps, 'db' | 'store' | 'transactions'>,
  link: QrLink,
  outcome: 'declined' | 'failed:code_used_up',
  now: Date,
): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  // From here on the page that asks for the agreement is the one to decline at.
  if (progress.step === 'over' || progress.step === 'to_agree') return
  if (progress.step === 'to_scan') await changeQr(deps.store, link, { ended: outcome })
  else if (!(await deps.transactions.burn(progress.transaction, outcome))) return
  const { memberId } = link
  const data = trailOf(link)
  const event: DomainEvent =
    outcome === 'declined'
      ? { type: 'link.declined', data }
      : { type: 'link.refused', data: { ...data, reason: 'qr_code_used_up' } }
  await recordEvent(deps.db, { ...event, ...(memberId && { memberId }) }, now)
}
