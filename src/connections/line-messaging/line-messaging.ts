import { z } from 'zod'
import type { MessagingApi } from './api.ts'
import type { OfficialAccount } from './official-account.ts'

/** A message as the Messaging API takes it. */
export type LineMessage = { type: string } & Record<string, unknown>

export interface LineProfile {
  displayName: string
  /** A language tag, where the person has agreed to tell it. */
  language?: string | undefined
}

/** What is done as an official account. Each rejects when LINE cannot answer now. */
export interface LineMessaging {
  /** A token that lets this person alone confirm a link, within ten minutes, once; undefined where LINE knows no such person. */
  issueLinkToken(account: OfficialAccount, userId: string): Promise<string | undefined>
  /** Undefined for whoever is no friend, or has not agreed to show a profile. */
  findProfile(account: OfficialAccount, userId: string): Promise<LineProfile | undefined>
  /** Free of charge, once for each token, within a minute of its event. False when the token is used or over. */
  reply(account: OfficialAccount, replyToken: string, messages: readonly LineMessage[]): Promise<boolean>
  /** Arrives once however often it is done with one key (a UUID). False when LINE knows no such person. */
  push(
    account: OfficialAccount,
    userId: string,
    messages: readonly LineMessage[],
    retryKey: string,
  ): Promise<boolean>
  /** Gives a person this menu, or takes theirs away. False when LINE has no such menu, or none with an image. */
  switchMenu(account: OfficialAccount, userId: string, richMenuId: string | null): Promise<boolean>
}

const linkTokenAnswer = z.object({ linkToken: z.string().min(1).max(1000) })
const profileAnswer = z.object({ displayName: z.string(), language: z.string().optional() })

/** @see https://developers.line.biz/en/reference/messaging-api/ */
export function lineMessaging(call: MessagingApi): LineMessaging {
  return {
    async issueLinkToken(account, userId) {
      const { status, body } = await call(account, {
        method: 'POST',
        path: `/v2/bot/user/${userId}/linkToken`,
      })
      return status === 200 ? linkTokenAnswer.parse(body).linkToken : undefined
    },
    async findProfile(account, userId) {
      const { status, body } = await call(account, { method: 'GET', path: `/v2/bot/profile/${userId}` })
      return status === 200 ? profileAnswer.parse(body) : undefined
    },
    async reply(account, replyToken, messages) {
      const body = { replyToken, messages }
      const { status } = await call(account, { method: 'POST', path: '/v2/bot/message/reply', body })
      return status === 200
    },
    async push(account, userId, messages, retryKey) {
      const body = { to: userId, messages }
      const path = '/v2/bot/message/push'
      const { status } = await call(account, { method: 'POST', path, body, retryKey })
      // 409: it has been sent under this key before (Retrying a failed API request).
      return status === 200 || status === 409
    },
    async switchMenu(account, userId, richMenuId) {
      const { status } = richMenuId
        ? await call(account, { method: 'POST', path: `/v2/bot/user/${userId}/richmenu/${richMenuId}` })
        : await call(account, { method: 'DELETE', path: `/v2/bot/user/${userId}/richmenu` })
      return status === 200
    },
  }
}

/** Where LINE compares who opens it with whom the link token was issued for, and tells us by webhook. */
export function accountLinkUrl(issuer: string, linkToken: string, nonce: string): URL {
  const url = new URL('/dialog/bot/accountLink', issuer)
  url.search = new URLSearchParams({ linkToken, nonce }).toString()
  return url
}
