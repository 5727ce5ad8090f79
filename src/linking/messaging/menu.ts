import type { OfficialAccount } from '../../connections/line-messaging/official-account.ts'
import { findIdentity } from '../identity.ts'
import type { MessagingDeps } from './deps.ts'

/** Gives a person the menu of whoever is linked, or of whoever is not, as it is now; where there is none, the account's own. */
export async function switchMenu(
  { db, line }: Pick<MessagingDeps, 'db' | 'line'>,
  account: OfficialAccount,
  userId: string,
): Promise<void> {
  const { linkedRichMenuId, unlinkedRichMenuId, issuer } = account
  if (!linkedRichMenuId && !unlinkedRichMenuId) return
  const isLinked = (await findIdentity(db, { issuer, subject: userId })) !== null
  // A menu that LINE does not know is for `hitotsu connections messaging check` to find; it holds nothing else up.
  await line.switchMenu(account, userId, isLinked ? linkedRichMenuId : unlinkedRichMenuId)
}
