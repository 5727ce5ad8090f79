import Router from '@koa/router'
import { findConnection, getUsableConnection, presentConnection } from '../connections/connection.ts'
import type { UpstreamAnswer, VerifiedIdentity } from '../connections/connector.ts'
import { isTripProblem } from '../connections/failure.ts'
import {
  type PendingAuthorization,
  peekPendingAuthorization,
  takePendingAuthorization,
} from '../connections/pending-authorization.ts'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter } from '../http/input.ts'
import { speak } from '../http/locale.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { type ClientHome, findClientHome } from '../oidc/clients/client-home.ts'
import { Problem, type ProblemCode } from '../problem.ts'
import { findOffered } from './campaigns/offer.ts'
import { ownerStep, receiveOwner } from './conflict/owner-proof.ts'
import { endTransaction } from './end.ts'
import { findIdentity } from './identity.ts'
import type { LinkTransaction } from './transaction.ts'
import { receiveTrial } from './trial/receive-trial.ts'
import { findLatestTransaction, linkBrowsers, sendToUpstream, type TripDeps } from './upstream-trip.ts'
import { trailOf } from './way.ts'

/** Where upstreams send browsers back to. The answer is judged, then the browser goes on to the transaction's own page. */
export function callbackRoutes(deps: TripDeps): Router<HttpState> {
  const router = new Router<HttpState>()
  router.get('/connections/:id/callback', (ctx) => receiveAnswer(deps, ctx, String(ctx.params.id)))
  return router
}

async function receiveAnswer(deps: TripDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  if (await receiveTrial(deps, ctx, connectionId)) return
  const pending = await matchPending(deps, ctx, connectionId)
  if (!pending) return recover(deps, ctx, connectionId)

  const transaction = await deps.transactions.get(pending.transactionId, [pending.browser])
  speak(ctx, transaction.locale)
  const answer = await judge(deps, ctx, pending, transaction).catch((error: unknown) => failed(ctx, error))
  if (pending.step === ownerStep) return receiveOwner(deps, ctx, transaction, { connectionId, answer })
  if (answer.outcome === 'verified') {
    const { identity, tokens } = answer
    const sealedTokens = deps.transactions.sealTokens(transaction.id, tokens)
    // Once proved, the transaction is about this one account and no other.
    if (transaction.proved) throw new Problem('transaction_over')
    const proved = await deps.transactions.change(transaction, {
      proved: { identity, sealedTokens },
      ...(await offered(deps, transaction, identity, ctx.state.now)),
      provedAt: Math.floor(ctx.state.now.getTime() / 1000),
    })
    await countProof(deps, proved, ctx.state.now)
    return seeOther(ctx, pageOf(transaction))
  }
  if (answer.outcome === 'refused')
    ctx.state.log.warn({ upstreamError: answer.error }, 'upstream refused the request')
  await endTransaction(deps, ctx, transaction, answer)
}

/** A sign-in may turn out to be a link only now, and what it is counted under is known then. */
async function offered(
  { db }: TripDeps,
  { purpose, connectionId, way, memberId, campaignId: known }: LinkTransaction,
  identity: VerifiedIdentity,
  now: Date,
) {
  if (purpose !== 'sign_in' || known) return {}
  const campaignId = await findOffered(db, { connectionId, way, memberId, identity }, now)
  return campaignId ? { campaignId } : {}
}

/** A sign-in through an account that nobody has linked yet is a link from here on. */
async function countProof(
  { db }: TripDeps,
  { proved, purpose, memberId, ...rest }: LinkTransaction,
  now: Date,
) {
  const isLink = purpose === 'link' || (proved && !(await findIdentity(db, proved.identity)))
  if (!isLink) return
  const member = memberId ? { memberId } : {}
  const data = trailOf(rest)
  // Pressed by a member in a sign-in, it was counted there.
  if (rest.way === 'sign_in') await recordEvent(db, { type: 'link.started', ...member, data }, now)
  await recordEvent(db, { type: 'link.proved', ...member, data }, now)
}

/**
 * The trip this answer belongs to: same state, same connection, same browser, and only once. RFC 9700 sections 4.4
 * and 4.7: state bound to the browser, a callback of its own for each upstream.
 */
async function matchPending(
  deps: TripDeps,
  ctx: HttpContext,
  connectionId: string,
): Promise<PendingAuthorization | undefined> {
  const state = queryParameter(ctx, 'state')
  if (!state) return undefined
  const pending = await peekPendingAuthorization(deps.store, state)
  if (!pending || pending.connectionId !== connectionId || !linkBrowsers(ctx).includes(pending.browser))
    return undefined
  return takePendingAuthorization(deps.store, state)
}

async function judge(
  deps: TripDeps,
  ctx: HttpContext,
  pending: PendingAuthorization,
  { purpose, way }: LinkTransaction,
): Promise<UpstreamAnswer> {
  const connection = await getUsableConnection(deps.db, pending.connectionId)
  const signsIn = (purpose === 'sign_in' && way !== 'prompt') || pending.step === ownerStep
  if (signsIn && !connection.allowSignIn) throw new Problem('connection_unavailable')
  return deps.connector.complete(connection, pending.attempt, new URLSearchParams(ctx.querystring))
}

/** What the upstream did wrong, or its absence, ends the trip and not the visit: the member may try again or go another way. */
function failed(ctx: HttpContext, error: unknown): { outcome: 'failed'; reason: ProblemCode } {
  if (!isTripProblem(error)) throw error
  ctx.state.log.warn({ problem: error.code, err: error.cause }, 'upstream answer not usable')
  return { outcome: 'failed', reason: error.code }
}

/**
 * An answer that belongs to no trip of this browser. LINE's auto login ends like this when it comes back in another
 * browser than it left; then one new trip is made, without auto login. The received code is never used.
 * @see https://developers.line.biz/en/docs/line-login/how-to-handle-auto-login-failure/
 */
async function recover(deps: TripDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  const latest = await findLatestTransaction(deps, ctx, connectionId)
  speak(ctx, latest?.locale)
  if (latest && !latest.proved && latest.retries === 0) {
    const again = await deps.transactions.change(latest, { retries: 1 })
    return sendToUpstream(deps, ctx, again)
  }
  const connection = await findConnection(deps.db, connectionId)
  if (!connection) throw new Problem('connection_unavailable')
  await recordEvent(
    deps.db,
    { type: 'link.refused', data: { connectionId, reason: 'state_mismatch' } },
    ctx.state.now,
  )
  ctx.status = 400
  const retryUrl = latest && !latest.proved ? pageOf(latest) : undefined
  render(ctx, 'linking/restart', {
    connection: presentConnection(connection, ctx.state.locale),
    retryUrl,
    startUrl: '/account',
    client: retryUrl ? undefined : await findSender(deps, ctx, connectionId),
  })
}

/**
 * The relying party that waits for a sign-in begun in another browser. Its name and home page are all that is learned
 * from the state of a trip that is not this browser's: there the person can begin anew.
 */
async function findSender(
  { db, store }: TripDeps,
  ctx: HttpContext,
  connectionId: string,
): Promise<ClientHome | undefined> {
  const pending = await peekPendingAuthorization(store, queryParameter(ctx, 'state') ?? '')
  return pending?.connectionId === connectionId
    ? findClientHome(db, pending.clientId, ctx.state.locale)
    : undefined
}

function pageOf({ purpose, id, interactionUid }: LinkTransaction): string {
  return purpose === 'link' ? `/link/${id}` : `/interaction/${interactionUid}`
}
