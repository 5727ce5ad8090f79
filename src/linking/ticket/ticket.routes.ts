import Router from '@koa/router'
import type { HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { type ApiAccess, apiScopes } from '../../oidc/api.ts'
import { invitationLife } from '../invitation/invitation.ts'
import type { TripDeps } from '../upstream-trip.ts'
import { issueTicket, newTicket } from './ticket.ts'

const issued: Budget = { name: 'link-ticket', limit: 10_000, windowSeconds: 600 }

/** Where a relying party's server asks for a link ticket, with a token of its own for the API. */
export function ticketRoutes(deps: TripDeps & { access: ApiAccess }): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/api/link-tickets' })
  router.post('/', async (ctx) => {
    const clientId = await deps.access.clientOf(ctx, apiScopes.vouch)
    await spend(deps.store, issued, clientId)
    const url = await issueTicket(deps, clientId, requireForm(ctx, newTicket), ctx.state.now)
    ctx.status = 201
    ctx.body = { url, expires_in: invitationLife }
  })
  return router
}
