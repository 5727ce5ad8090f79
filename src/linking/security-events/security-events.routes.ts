import Router from '@koa/router'
import { z } from 'zod'
import { findConnection } from '../../connections/connection.ts'
import type { OidcConnector } from '../../connections/oidc.ts'
import type { SecurityEventForm } from '../../connections/security-event-token.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { readRawBody } from '../../http/raw-body.ts'
import { Problem } from '../../problem.ts'
import type { Random } from '../../security/random.ts'
import type { Sealer } from '../../security/seal.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import { keepNotices } from '../notices/notice.ts'

export interface SecurityEventDeps {
  db: Db
  store: Ephemeral
  random: Random
  connector: Pick<OidcConnector, 'verifySecurityEvents'>
  sealer: Sealer
}

/** Anybody may post here until a signature says otherwise. */
const posts: Budget = { name: 'security-events', limit: 600, windowSeconds: 60 }
const maxBytes = 64 * 1024

/** Where upstreams push what happens to their accounts: RFC 8935, and Apple's notifications. */
export function securityEventRoutes(deps: SecurityEventDeps): Router<HttpState> {
  const router = new Router<HttpState>()
  router.post('/connections/:id/events', (ctx) => receive(deps, ctx, String(ctx.params.id)))
  return router
}

async function receive(deps: SecurityEventDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  await spend(deps.store, posts, sourceOf(ctx.ip))
  const connection = await findConnection(deps.db, connectionId)
  if (!connection) throw new Problem('not_found')
  const posted = await readToken(ctx)
  if (!posted) return refuse(ctx, 'invalid_request')
  const answer = await deps.connector.verifySecurityEvents(connection, posted.token, posted.form)
  if (answer.outcome === 'refused') return refuse(ctx, answer.err)

  const { jti, events } = answer
  const notice = { connectionId, noticeId: jti, source: 'security_event', body: { events } } as const
  const keeping = { sealer: deps.sealer, random: deps.random }
  await inTransaction(deps.db, (tx) => keepNotices(tx, keeping, [notice], ctx.state.now))
  // RFC 8935 section 2.2: it is ours from here on. Delivered again it is known, and answered alike.
  ctx.status = 202
  ctx.set('Cache-Control', 'no-store')
  ctx.body = ''
}

const applePost = z.object({ payload: z.string().min(1) })

async function readToken(ctx: HttpContext): Promise<{ token: string; form: SecurityEventForm } | undefined> {
  const isSet = ctx.is('application/secevent+jwt')
  if (!isSet && !ctx.is('application/json')) throw new Problem('unsupported_media_type')
  const text = (await readRawBody(ctx, maxBytes)).toString('utf8')
  if (isSet) return { token: text.trim(), form: 'set' }
  const { data } = applePost.safeParse(parsed(text))
  return data && { token: data.payload, form: 'apple' }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const descriptions = {
  invalid_request: 'The request is no security event token, or its events are not as they are defined.',
  invalid_key: 'The key the token names is not among those the issuer publishes.',
  invalid_issuer: 'The issuer is not the one of this connection.',
  invalid_audience: 'The token is not for this receiver.',
  authentication_failed: 'The signature is not one of the issuer.',
}

/** RFC 8935 section 2.3. */
function refuse(ctx: HttpContext, err: keyof typeof descriptions): void {
  ctx.state.log.warn({ deliveryError: err }, 'a security event was refused')
  ctx.status = 400
  ctx.set({ 'Cache-Control': 'no-store', 'Content-Language': 'en' })
  ctx.body = { err, description: descriptions[err] }
}
