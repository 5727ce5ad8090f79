import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection } from '../../connections/connection.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { type ApiAccess, apiScopes } from '../../oidc/api.ts'
import { Problem } from '../../problem.ts'
import {
  findLinkingClient,
  isOwnOrigin,
  isPublic,
  isReturnAddress,
  type LinkingClient,
} from '../invitation/client.ts'
import { invitationLife } from '../invitation/invitation.ts'
import type { TripDeps } from '../upstream-trip.ts'
import { presentIdToken } from './app-token.ts'
import { openLinkSession, sessionLife, takeLinkSession } from './link-session.ts'

type Deps = TripDeps & { access: ApiAccess }

const opening = z.strictObject({
  /** For a client that cannot keep a secret; any other comes with a token of its own. */
  client_id: z.string().max(255).optional(),
  connection: z.string().max(40),
  return_to: z.string().max(2000).optional(),
  state: z.string().max(1000).optional(),
})

/** The raw token, and nothing that an application could say of the account itself. */
const presentation = z.strictObject({
  link_session: z.string().max(100),
  id_token: z.string().min(1).max(20_000),
  nonce: z.string().max(100).optional(),
})

/** Many phones come from one address of a mobile network; a server of a client comes for all its members. */
const ofSource: Budget = { name: 'link-session', limit: 600, windowSeconds: 600 }
const ofClient: Budget = { name: 'link-session-client', limit: 10_000, windowSeconds: 600 }

/** Where LIFF and native applications bring what their upstream's SDK gave them. */
export function appTokenRoutes(deps: Deps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/api/link-sessions' })
  router.options('/', answerPreflight)
  router.options('/token', answerPreflight)
  router.post('/', (ctx) => open(deps, ctx))
  router.post('/token', (ctx) => present(deps, ctx))
  return router
}

async function open(deps: Deps, ctx: HttpContext): Promise<void> {
  const { client_id: named, connection, ...back } = requireForm(ctx, opening)
  if (named !== undefined) await spend(deps.store, ofSource, sourceOf(ctx.ip))
  const clientId = named ?? (await deps.access.clientOf(ctx, apiScopes.begin))
  if (named === undefined) await spend(deps.store, ofClient, clientId)
  const { id: connectionId } = await getUsableConnection(deps.db, connection)
  const client = await findLinkingClient(deps.db, clientId, connectionId)
  if (!client || (named !== undefined && !isPublic(client.row))) throw new Problem('connection_unavailable')
  letIn(ctx, client)
  const { return_to: returnTo, state: clientState } = back
  if (returnTo !== undefined && !isReturnAddress(client.row, returnTo))
    throw new Problem('redirect_uri_mismatch')
  const memberId = named === undefined ? undefined : await deps.access.memberOf(ctx, clientId)
  const { id, nonce } = await openLinkSession(deps, {
    ...{ clientId, connectionId },
    ...(memberId && { memberId }),
    ...(returnTo && { returnTo, ...(clientState !== undefined && { clientState }) }),
  })
  ctx.status = 201
  ctx.body = { link_session: id, nonce, expires_in: sessionLife }
}

async function present(deps: Deps, ctx: HttpContext): Promise<void> {
  const { link_session: id, id_token: idToken, nonce } = requireForm(ctx, presentation)
  const session = await takeLinkSession(deps.store, id)
  if (!session) throw new Problem('link_session_over')
  const client = await findLinkingClient(deps.db, session.clientId, session.connectionId)
  if (!client) throw new Problem('connection_unavailable')
  letIn(ctx, client)
  const url = await presentIdToken(deps, session, { idToken, nonce }, ctx.state.now)
  ctx.status = 201
  ctx.body = { url, expires_in: invitationLife }
}

/** Pages of other sites do not get in, and learn nothing. Without Origin it is no page that asks. */
function letIn(ctx: HttpContext, { row }: LinkingClient): void {
  const origin = ctx.get('Origin')
  if (origin === '') return
  if (!isOwnOrigin(row, origin)) throw new Problem('forbidden')
  ctx.vary('Origin')
  ctx.set('Access-Control-Allow-Origin', origin)
}

/** Says nothing of any client: which it is, is in the body. No cookie is ever let in. */
function answerPreflight(ctx: HttpContext): void {
  ctx.vary('Origin')
  ctx.set({
    'Access-Control-Allow-Origin': ctx.get('Origin'),
    'Access-Control-Allow-Methods': 'POST',
    'Access-Control-Allow-Headers': 'content-type, authorization',
    'Access-Control-Max-Age': '3600',
  })
  ctx.status = 204
}
