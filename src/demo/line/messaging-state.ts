/** An event of a webhook; unknown types and members are allowed, as they are from LINE. */
export type WebhookEvent = Record<string, unknown> & { type: string; webhookEventId: string }

export type WebhookReason = 'OK' | 'COULD_NOT_CONNECT' | 'REQUEST_TIMEOUT' | 'ERROR_STATUS_CODE'

export type WebhookAttempt = {
  channelId: string
  url: string
  body: string
  signature: string
  sentAtMs: number
  isRedelivery: boolean
  reason: WebhookReason
  /** 0 where no answer came. */
  status: number
}

export type LinkToken = {
  token: string
  channelId: string
  personId: string
  expiresAtMs: number
  usedAtMs?: number
}

type ReplyToken = {
  token: string
  channelId: string
  personId: string
  eventAtMs: number
  deliveredAtMs: number
  usedAtMs?: number
}

export type SentMessage = {
  id: string
  kind: 'push' | 'reply' | 'multicast'
  channelId: string
  personId: string
  message: Record<string, unknown>
  /** False where LINE answers 200 although nobody reads it: blocked, or no friend. */
  delivered: boolean
  sentAtMs: number
}

export type SentMessageId = { id: string; quoteToken?: string }

type AcceptedRetryKey = { requestId: string; acceptedAtMs: number; sentMessages: SentMessageId[] }

export type RichMenu = {
  richMenuId: string
  channelId: string
  definition: Record<string, unknown>
  image?: { type: string; base64: string }
}

/** The Messaging API's part of the state; plain JSON data like the rest of it. */
export type MessagingState = {
  webhookAttempts: WebhookAttempt[]
  linkTokens: Record<string, LinkToken>
  replyTokens: Record<string, ReplyToken>
  sentMessages: SentMessage[]
  /** By `channelId:key`. */
  retryKeys: Record<string, AcceptedRetryKey>
  richMenus: Record<string, RichMenu>
  /** Rich menu ID by `channelId:personId`. */
  personRichMenus: Record<string, string>
  /** Rich menu ID by channel. */
  defaultRichMenus: Record<string, string>
}

export function createMessagingState(): MessagingState {
  return {
    webhookAttempts: [],
    linkTokens: {},
    replyTokens: {},
    sentMessages: [],
    retryKeys: {},
    richMenus: {},
    personRichMenus: {},
    defaultRichMenus: {},
  }
}
