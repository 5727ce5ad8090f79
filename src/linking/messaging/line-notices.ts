import {
  findOfficialAccount,
  type OfficialAccount,
} from '../../connections/line-messaging/official-account.ts'
import { keptEvent } from '../../connections/line-messaging/webhook.ts'
import type { Notice } from '../notices/notice.ts'
import type { NoticeHandler } from '../notices/notice-sink.ts'
import { handleAccountLink } from './account-link.ts'
import type { MessagingDeps } from './deps.ts'
import { noteFriendship } from './friendship.ts'
import { switchMenu } from './menu.ts'
import { addresseeOf, inviteToLink } from './talk.ts'

/** Does what an event of the talk asks for. Of an account that was removed meanwhile nothing is done any more. */
export function lineNoticeHandler(deps: MessagingDeps): NoticeHandler {
  return async (notice) => {
    const account = await findOfficialAccount(deps.db, notice.connectionId)
    if (account) await handleEvent(deps, notice, account)
  }
}

async function handleEvent(deps: MessagingDeps, notice: Notice, account: OfficialAccount): Promise<void> {
  const event = keptEvent.parse(notice.body)
  if (event.type === 'accountLink') return handleAccountLink(deps, notice, event)
  const to = addresseeOf(account, notice, event)
  if (!to) return
  const identity = { issuer: account.issuer, subject: to.userId }
  const said = (isFriend: boolean) => ({ isFriend, at: new Date(event.timestamp) })
  switch (event.type) {
    case 'unfollow':
      return noteFriendship(deps, notice, identity, said(false))
    case 'follow':
      // A menu given to whoever was no friend had no effect.
      await switchMenu(deps, account, to.userId)
      if (event.mode === 'active') await inviteToLink(deps, to, 'follow')
      return noteFriendship(deps, notice, identity, said(true))
    default:
      return inviteToLink(deps, to, 'asked')
  }
}
