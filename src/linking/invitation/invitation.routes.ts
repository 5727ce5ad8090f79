import Router from '@koa/router'
import { getUsableConnection, presentConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { findRelyingParty } from '../../oidc/clients/relying-party.ts'
import { Problem } from '../../problem.ts'
import type { LinkDeps } from '../link.routes.ts'
import { pathAfter } from '../outcome.ts'
import { linkBrowser, linkBrowsers } from '../upstream-trip.ts'
import { trailOf } from '../way.ts'
import { discardInvitation, type Found, findInvitation, takeInvitation } from './invitation.ts'

const visits: Budget = { name: 'link-invitation', limit: 60, windowSeconds: 600 }

/**
 * The page at a one-time address. Looking takes nothing, so that a preview or a scanner on the way spoils nothing; the
 * browser that goes on from it is the one the link is bound to.
 */
export function invitationRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/invitation/:token' })
  router.use(async (ctx, next) => {
    await spend(deps.store, visits, sourceOf(ctx.ip))
    return next()
  })
  router.get('/', (ctx) => show(deps, ctx, String(ctx.params.token)))
  router.post('/accept', (ctx) => accept(deps, ctx, String(ctx.params.token)))
  router.post('/decline', (ctx) => decline(deps, ctx, String(ctx.params.token)))
  return router
}

async function show(deps: LinkDeps, ctx: HttpContext, token: string): Promise<void> {
  const found = await findInvitation(deps.store, token, linkBrowsers(ctx))
  if (found.state === 'taken') return seeOther(ctx, `/link/${found.transactionId}`)
  if (found.state === 'over') return refuse(deps, ctx, found)
  const { connectionId, clientId } = found.invitation
  const { locale } = ctx.state
  const [connection, client] = await Promise.all([
    getUsableConnection(deps.db, connectionId),
    findRelyingParty(deps.db, clientId, locale),
  ])
  if (!client) throw new Problem('client_disabled')
  render(ctx, 'linking/invitation', {
    base: `/invitation/${token}`,
    connection: presentConnection(connection, locale),
    client,
  })
}

async function accept(deps: LinkDeps, ctx: HttpContext, token: string): Promise<void> {
  const found = await findInvitation(deps.store, token, linkBrowsers(ctx))
  if (found.state === 'open') {
    const { invitation } = found
    await getUsableConnection(deps.db, invitation.connectionId)
    if (!(await findRelyingParty(deps.db, invitation.clientId, ctx.state.locale)))
      throw new Problem('client_disabled')
    const transactionId = await takeInvitation(deps, token, linkBrowser(ctx))
    if (transactionId) {
      await recordEvent(deps.db, { type: 'link.started', data: trailOf(invitation) }, ctx.state.now)
      return seeOther(ctx, `/link/${transactionId}`)
    }
  }
  // A double click, or another browser that was quicker.
  const after = await findInvitation(deps.store, token, linkBrowsers(ctx))
  if (after.state === 'taken') return seeOther(ctx, `/link/${after.transactionId}`)
  return refuse(
    deps,
    ctx,
    after.state === 'over' ? after : { state: 'over', reason: 'used', trail: undefined },
  )
}

async function decline(deps: LinkDeps, ctx: HttpContext, token: string): Promise<void> {
  const invitation = await discardInvitation(deps.store, token)
  if (!invitation) return show(deps, ctx, token)
  await recordEvent(deps.db, { type: 'link.declined', data: trailOf(invitation) }, ctx.state.now)
  seeOther(ctx, invitation.returnTo ? pathAfter({ ...invitation, purpose: 'link' }, 'declined') : '/')
}

/** The same page whatever the reason, so that it tells nothing to who guesses; the audit trail has the reason. */
async function refuse(
  { db }: LinkDeps,
  ctx: HttpContext,
  { reason, trail }: Extract<Found, { state: 'over' }>,
): Promise<void> {
  const data = { ...trail, reason: `invitation_${reason}` }
  await recordEvent(db, { type: 'link.refused', data }, ctx.state.now)
  throw new Problem('invitation_over')
}
