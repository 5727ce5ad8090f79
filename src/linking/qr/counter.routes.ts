import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection } from '../../connections/connection.ts'
import type { HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { type ApiAccess, apiScopes } from '../../oidc/api.ts'
import { Problem } from '../../problem.ts'
import { findLinkingClient, isReturnAddress } from '../invitation/client.ts'
import type { TripDeps } from '../upstream-trip.ts'
import { qrLife, startQr } from './qr-link.ts'

const newCounter = z.strictObject({
  connection: z.string().max(40),
  return_to: z.string().max(2000).optional(),
  state: z.string().max(1000).optional(),
})

const opened: Budget = { name: 'qr-counter', limit: 10_000, windowSeconds: 600 }

/** Where a relying party's server asks for a page that its shop counter shows: nobody is signed in there. */
export function qrCounterRoutes(deps: TripDeps & { access: ApiAccess }): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/api/link-counters' })
  router.post('/', async (ctx) => {
    const clientId = await deps.access.clientOf(ctx, apiScopes.begin)
    await spend(deps.store, opened, clientId)
    const { connection, return_to: returnTo, state: clientState } = requireForm(ctx, newCounter)
    const { id: connectionId } = await getUsableConnection(deps.db, connection)
    const client = await findLinkingClient(deps.db, clientId, connectionId)
    if (!client) throw new Problem('connection_unavailable')
    if (returnTo !== undefined && !isReturnAddress(client.row, returnTo))
      throw new Problem('redirect_uri_mismatch')
    const { id } = await startQr(deps, {
      ...{ connectionId, clientId, way: 'qr_code', agreesOn: 'phone' },
      ...(returnTo && { returnTo, ...(clientState !== undefined && { clientState }) }),
    })
    ctx.status = 201
    ctx.body = { url: `${deps.issuer}/qr-screen/${id}`, expires_in: qrLife }
  })
  return router
}
