import { getUsableConnection } from '../../connections/connection.ts'
import type { LineMessage, LineProfile } from '../../connections/line-messaging/line-messaging.ts'
import type { OfficialAccount } from '../../connections/line-messaging/official-account.ts'
import type { WebhookEvent } from '../../connections/line-messaging/webhook.ts'
import { type Locale, toLocale } from '../../http/i18n.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { Problem } from '../../problem.ts'
import { digest } from '../../security/digest.ts'
import { findIdentity } from '../identity.ts'
import type { Notice } from '../notices/notice.ts'
import type { MessagingDeps } from './deps.ts'
import { invitationUrl } from './invitation.routes.ts'
import { keepInvitation } from './invitation.ts'
import { alreadyLinkedMessage, invitationMessage } from './messages.ts'

/** LINE gives a reply token a minute, and promises nothing. */
const replyMs = 45_000
/** Each asks LINE for a token; nobody needs more of them. */
const asked: Budget = { name: 'line-link-asked', limit: 10, windowSeconds: 600 }

export interface Addressee {
  account: OfficialAccount
  userId: string
  notice: Notice
  replyToken: string | undefined
}

/**
 * Answers in the talk: by reply as long as its token lives, then by push. A token works once and so does the key of a
 * push, so of two that answer at once one does.
 */
export async function answer(
  { line, now }: Pick<MessagingDeps, 'line' | 'now'>,
  { account, userId, notice, replyToken }: Addressee,
  message: LineMessage,
): Promise<void> {
  const isFresh = now().getTime() - notice.receivedAt.getTime() < replyMs
  // A token that is refused within its time has been used, by whoever handled this notice before.
  if (replyToken && isFresh) await line.reply(account, replyToken, [message])
  else await line.push(account, userId, [message], notice.id)
}

/** Sends the link to whoever may want it: on their word, or when they have become a friend. */
export async function inviteToLink(
  deps: MessagingDeps,
  to: Addressee,
  occasion: 'asked' | 'follow',
): Promise<void> {
  const { db, store, line, issuer } = deps
  const { account, userId, notice } = to
  if (!(await mayAsk(deps, userId)) || !(await isUsable(deps, notice.connectionId))) return
  const profile = await line.findProfile(account, userId)
  const words = { serviceName: deps.serviceName, issuer, connectionId: account.connectionId }
  const locale = localeOf(profile)
  if (await findIdentity(db, { issuer: account.issuer, subject: userId })) {
    // Who unblocks the account has not asked for anything.
    if (occasion === 'asked') await answer(deps, to, alreadyLinkedMessage(locale, words))
    return
  }
  const linkToken = await line.issueLinkToken(account, userId)
  if (linkToken === undefined) return
  await keepInvitation(store, linkToken, {
    ...{ connectionId: account.connectionId, issuer: account.issuer, subject: userId },
    profile: profile ? { name: profile.displayName } : {},
    emailVerified: false,
  })
  const url = invitationUrl(issuer, account.connectionId, linkToken)
  await answer(deps, to, invitationMessage(locale, { ...words, url, occasion }))
}

/** The language of a person's LINE, as far as we speak it. */
export function localeOf(profile: LineProfile | undefined, otherwise?: string | null): Locale {
  return toLocale(profile?.language) ?? toLocale(otherwise ?? undefined) ?? 'ja'
}

/** Whom an event is from, where it can be answered. */
export function addresseeOf(
  account: OfficialAccount,
  notice: Notice,
  { source, replyToken }: Pick<WebhookEvent, 'source' | 'replyToken'>,
): Addressee | undefined {
  return source?.userId ? { account, userId: source.userId, notice, replyToken } : undefined
}

async function mayAsk({ store }: MessagingDeps, userId: string): Promise<boolean> {
  return spend(store, asked, digest(userId)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Problem) return false
      throw error
    },
  )
}

async function isUsable({ db }: MessagingDeps, connectionId: string): Promise<boolean> {
  return getUsableConnection(db, connectionId).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Problem) return false
      throw error
    },
  )
}
