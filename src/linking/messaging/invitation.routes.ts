import Router from '@koa/router'
import { getUsableConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter } from '../../http/input.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { seeOther } from '../../http/signed-in.ts'
import { Problem } from '../../problem.ts'
import { linkBrowser, type TripDeps } from '../upstream-trip.ts'
import { trailOf } from '../way.ts'
import { findInvitation } from './invitation.ts'

const opened: Budget = { name: 'line-invitation-opened', limit: 60, windowSeconds: 600 }

/**
 * What the button in the talk opens. The link token goes into a transaction of this browser and out of the address at
 * once, before any page is shown; the transaction's own page leads on.
 */
export function lineInvitationRoutes(
  deps: Pick<TripDeps, 'db' | 'store' | 'transactions'>,
): Router<HttpState> {
  const router = new Router<HttpState>()
  router.get('/link/line/:id', (ctx) => openInvitation(deps, ctx, String(ctx.params.id)))
  return router
}

async function openInvitation(
  { db, store, transactions }: Pick<TripDeps, 'db' | 'store' | 'transactions'>,
  ctx: HttpContext,
  connectionId: string,
): Promise<void> {
  await spend(store, opened, sourceOf(ctx.ip))
  await getUsableConnection(db, connectionId)
  const linkToken = queryParameter(ctx, 'linkToken') ?? ''
  const identity = await findInvitation(store, connectionId, linkToken)
  if (!identity) throw new Problem('line_link_over')
  const transaction = await transactions.start({
    ...{ purpose: 'link', way: 'line_message', connectionId, forceSignIn: false },
    browser: linkBrowser(ctx),
    invited: { identity, linkToken },
  })
  await recordEvent(db, { type: 'link.started', data: trailOf(transaction) }, ctx.state.now)
  seeOther(ctx, `/link/${transaction.id}`)
}

/** The address of the button, for one link token. */
export function invitationUrl(issuer: string, connectionId: string, linkToken: string): string {
  return `${issuer}/link/line/${encodeURIComponent(connectionId)}?${new URLSearchParams({ linkToken })}`
}
