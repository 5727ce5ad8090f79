import type { WebhookEvent } from '../../connections/line-messaging/webhook.ts'
import { recordEvent } from '../../events/outbox.ts'
import { Problem, type ProblemCode } from '../../problem.ts'
import { inTransaction, isUniqueViolation } from '../../store/db.ts'
import { decideLink } from '../decide.ts'
import { findIdentity, gatherFacts } from '../identity.ts'
import { type AgreedLink, applyLink } from '../link.ts'
import { type Notice, takeNotice } from '../notices/notice.ts'
import type { LinkOutcome } from '../outcome.ts'
import type { LinkTransaction } from '../transaction.ts'
import { mendLink } from '../unlink/needs-relink.ts'
import { trailOf } from '../way.ts'
import { type Confirmation, judgeConfirmation, takeConfirmation } from './confirmation.ts'
import type { MessagingDeps } from './deps.ts'

/**
 * LINE's word on a confirmation: links what was agreed, or refuses it with an audit row, once however often the event
 * comes or is handled. The page that waits is told.
 */
export async function handleAccountLink(
  deps: MessagingDeps,
  notice: Notice,
  event: Extract<WebhookEvent, { type: 'accountLink' }>,
): Promise<void> {
  const taken = await takeConfirmation(deps.store, event.link.nonce, notice.id)
  const verdict = judgeConfirmation(taken, event, notice)
  const { confirmation } = verdict
  const outcome =
    verdict.action === 'link'
      ? await carryOut(deps, notice, verdict.confirmation.agreed)
      : await refuse(deps, notice, verdict.reason, confirmation?.agreed)
  if (outcome && confirmation) await tellPage(deps, confirmation, outcome)
}

/** Undefined when another process has handled the notice: what came of it, that one tells. */
async function carryOut(
  deps: MessagingDeps,
  notice: Notice,
  agreed: AgreedLink,
): Promise<LinkOutcome | undefined> {
  const { db, vault } = deps
  const now = deps.now()
  const { memberId, identity } = agreed
  try {
    return await inTransaction(db, async (tx) => {
      if (!(await takeNotice(tx, notice.id, now))) return undefined
      const decision = decideLink(await gatherFacts(tx, identity, memberId, now))
      // Linked meanwhile by another way, to the same member.
      if (decision.action === 'already_linked') return 'already_linked' as const
      if (decision.action === 'relink') {
        const linked = await findIdentity(tx, identity)
        if (linked) await mendLink(tx, linked, trailOf(agreed), now)
        return 'linked' as const
      }
      await recordEvent(tx, { type: 'link.proved', memberId, data: trailOf(agreed) }, now)
      await applyLink(tx, vault, agreed, now)
      return 'linked' as const
    })
  } catch (error) {
    if (isUniqueViolation(error)) return refuse(deps, notice, 'identity_linked_to_another_member', agreed)
    if (error instanceof Problem) return refuse(deps, notice, error.code, agreed)
    throw error
  }
}

async function refuse(
  { db, now }: MessagingDeps,
  notice: Notice,
  reason: ProblemCode,
  agreed: AgreedLink | undefined,
): Promise<LinkOutcome | undefined> {
  const { connectionId } = notice
  const trail = agreed ? trailOf(agreed) : { connectionId, way: 'line_message' }
  const member = agreed ? { memberId: agreed.memberId } : {}
  const data = { ...trail, reason, noticeId: notice.id }
  return inTransaction(db, async (tx) => {
    if (!(await takeNotice(tx, notice.id, now()))) return undefined
    await recordEvent(tx, { type: 'link.refused', ...member, data }, now())
    return `failed:${reason}` as const
  })
}

/** Conflicts the member may decide, now that both sides are proved; the page of the transaction asks how. */
const decidable: readonly LinkOutcome[] = ['failed:identity_linked_to_another_member']

/** Ends the transaction whose page waits, or leads it on. One that is over needs no telling. */
async function tellPage(
  { transactions, now }: MessagingDeps,
  { transactionId, browser, agreed }: Confirmation,
  outcome: LinkOutcome,
): Promise<void> {
  const transaction = await transactions
    .get(transactionId, [browser])
    .catch((error: unknown) => ignoreOver(error))
  if (!transaction) return
  if (decidable.includes(outcome)) {
    const provedAt = Math.floor(now().getTime() / 1000)
    const proof = { proved: { identity: agreed.identity }, provedAt }
    await transactions.change(transaction, proof).catch(ignoreOver)
    return
  }
  await transactions.burn(transaction, outcome)
}

function ignoreOver(error: unknown): LinkTransaction | undefined {
  if (error instanceof Problem && error.code === 'transaction_over') return undefined
  throw error
}
