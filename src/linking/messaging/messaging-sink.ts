import { findOfficialAccount } from '../../connections/line-messaging/official-account.ts'
import { keptEvent } from '../../connections/line-messaging/webhook.ts'
import type { Sink } from '../../events/dispatcher.ts'
import type { StoredEvent } from '../../events/event.ts'
import { findNotice } from '../notices/notice.ts'
import type { MessagingDeps } from './deps.ts'
import { switchMenu } from './menu.ts'
import { linkedMessage, refusedMessage } from './messages.ts'
import { addresseeOf, answer, localeOf } from './talk.ts'

/**
 * Sink: whoever has linked or unlinked a LINE account, by whatever way, finds the menu that fits, and whoever has linked
 * is told so in the talk. What LINE's word led to instead is told to whom it was about. Done again, it arrives once.
 */
export function messagingSink(deps: MessagingDeps): Sink {
  return async (event) => {
    switch (event.type) {
      case 'identity.linked':
      case 'identity.relinked':
        return welcome(deps, event)
      case 'identity.unlinked':
        return farewell(deps, event)
      case 'link.refused':
        return explain(deps, event)
    }
  }
}

type Told<T extends StoredEvent['type']> = Extract<StoredEvent, { type: T }>

async function welcome(
  deps: MessagingDeps,
  { id, data }: Told<'identity.linked' | 'identity.relinked'>,
): Promise<void> {
  const { db, line, serviceName, issuer } = deps
  const account = await findOfficialAccount(db, data.connectionId)
  const identity =
    account &&
    (await db.federatedIdentity.findUnique({ where: { id: data.identityId }, include: { member: true } }))
  // Unlinked again since: the event of that sees to the menu.
  if (!identity) return
  const { subject: userId, connectionId, isFriend, member } = identity
  await switchMenu(deps, account, userId)
  if (isFriend === false) return
  const locale = localeOf(await line.findProfile(account, userId), member.locale)
  await line.push(account, userId, [linkedMessage(locale, { serviceName, issuer, connectionId })], id)
}

async function farewell(deps: MessagingDeps, { data }: Told<'identity.unlinked'>): Promise<void> {
  const { connectionId, identityId } = data
  const account = await findOfficialAccount(deps.db, connectionId)
  // The same account, however often it was linked and unlinked.
  const former = account && (await deps.db.formerIdentity.findFirst({ where: { identityId, connectionId } }))
  if (former) await switchMenu(deps, account, former.subject)
}

async function explain(deps: MessagingDeps, { data }: Told<'link.refused'>): Promise<void> {
  const { db, sealer, line, serviceName, issuer } = deps
  const { noticeId, connectionId, reason } = data
  if (!noticeId || !connectionId) return
  const [account, notice] = [
    await findOfficialAccount(db, connectionId),
    await findNotice(db, sealer, noticeId),
  ]
  // Where LINE's check failed it does not say whom it was about.
  const to = account && notice && addresseeOf(account, notice, keptEvent.parse(notice.body))
  if (!to) return
  const locale = localeOf(await line.findProfile(account, to.userId))
  await answer(deps, to, refusedMessage(locale, { serviceName, issuer, connectionId }, reason))
}
