import Router from '@koa/router'
import {
  findOfficialAccount,
  type OfficialAccount,
  openChannelSecret,
} from '../../connections/line-messaging/official-account.ts'
import { isSignedByLine, readWebhook, type WebhookEvent } from '../../connections/line-messaging/webhook.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { readRawBody } from '../../http/raw-body.ts'
import { Problem } from '../../problem.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import { keepNotices } from '../notices/notice.ts'
import { isLinkWord } from './link-word.ts'

export interface WebhookDeps {
  db: Db
  store: Ephemeral
  sealer: Sealer
  random: Random
}

const maxBytes = 1024 * 1024
/** LINE's addresses are not published, and it sends much; only what it has not signed is counted. */
const unsigned: Budget = { name: 'line-webhook-unsigned', limit: 100, windowSeconds: 600 }

/**
 * Where LINE tells what happens in the talk with an official account. Answered as soon as it is kept, because LINE waits
 * two seconds; what comes of it is done afterwards.
 * @see https://developers.line.biz/en/docs/messaging-api/receiving-messages/
 */
export function lineWebhookRoutes(deps: WebhookDeps): Router<HttpState> {
  const router = new Router<HttpState>()
  router.post('/connections/:id/line/webhook', (ctx) => receiveWebhook(deps, ctx, String(ctx.params.id)))
  return router
}

async function receiveWebhook(deps: WebhookDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  const body = await readRawBody(ctx, maxBytes)
  const account = await findOfficialAccount(deps.db, connectionId)
  if (!account) throw new Problem('not_found')
  if (!isSignedByLine(openChannelSecret(deps.sealer, account), body, ctx.get('x-line-signature'))) {
    await spend(deps.store, unsigned, sourceOf(ctx.ip))
    throw new Problem('forbidden')
  }
  const webhook = readWebhook(body)
  if (!webhook) throw new Problem('invalid_input')
  // The same secret signs for this bot alone; whoever says it is for another has sent it to the wrong place.
  if (webhook.destination !== account.botUserId) throw new Problem('misdirected_request')

  const notices = webhook.events
    .filter((event) => concernsUs(event, account))
    .map((event) => ({
      ...{ connectionId, noticeId: event.webhookEventId },
      source: 'line_webhook' as const,
      body: event,
    }))
  await inTransaction(deps.db, (tx) => keepNotices(tx, deps, notices, ctx.state.now))
  ctx.status = 200
  ctx.body = ''
}

/** What we act on. Everything else that is said to the account is none of our business and is not kept. */
function concernsUs(event: WebhookEvent, { linkWords }: OfficialAccount): boolean {
  if (event.type === 'accountLink') return true
  // In a group, a reply and its link would be everybody's; in standby somebody else answers for the account.
  if (event.source?.type !== 'user' || !event.source.userId) return false
  switch (event.type) {
    case 'follow':
    case 'unfollow':
      return true
    case 'message':
      return event.mode === 'active' && isLinkWord(event.message.text, linkWords)
    case 'postback':
      return event.mode === 'active' && isLinkWord(event.postback.data, linkWords)
  }
}
