import Router from '@koa/router'
import { z } from 'zod'
import { findConnection, presentConnection } from '../../connections/connection.ts'
import { hasUpstream } from '../../connections/kinds.ts'
import { newAttempt, redirectUriOf } from '../../connections/pending-authorization.ts'
import type { Connection } from '../../connections/settings.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter, requireForm } from '../../http/input.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { Problem } from '../../problem.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import { linkBrowser, linkBrowsers, type TripDeps } from '../upstream-trip.ts'
import { openTicket, type TrialTicket, trialPath } from './ticket.ts'
import { claimTrial, isTrialOver, saveTrip } from './trial.ts'
import { showFailure } from './trial-result.ts'

export interface TrialDeps extends TripDeps {
  vault: TokenVault
}

const trials: Budget = { name: 'connection-trial', limit: 60, windowSeconds: 600 }
const startForm = z.object({ ticket: z.string().max(2000) })

/** Where an operator tries a connection, with a ticket for it: to the upstream and back, and nothing comes of it. */
export function trialRoutes(deps: TrialDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: trialPath })
  router.get('/', (ctx) => showStart(deps, ctx))
  router.post('/', (ctx) => start(deps, ctx))
  return router
}

/** Looks only: what opens addresses before people do uses up nothing. */
async function showStart(deps: TrialDeps, ctx: HttpContext): Promise<void> {
  await spend(deps.store, trials, sourceOf(ctx.ip))
  const sealed = queryParameter(ctx, 'ticket')
  const { ticket, connection } = await open(deps, ctx, sealed)
  if (await isTrialOver(deps.store, ticket)) throw new Problem('trial_over')
  render(ctx, 'linking/trial', {
    connection: presentConnection(connection, ctx.state.locale),
    connectionId: connection.id,
    upstream: connection.issuer,
    ticket: sealed,
  })
}

/** Pressed twice, the same trial goes on: one answer counts. */
async function start(deps: TrialDeps, ctx: HttpContext): Promise<void> {
  const { store, random, issuer, connector } = deps
  await spend(store, trials, sourceOf(ctx.ip))
  const { ticket, connection } = await open(deps, ctx, requireForm(ctx, startForm).ticket)
  const browser = await claimTrial(store, ticket, linkBrowser(ctx), linkBrowsers(ctx))
  const { locale } = ctx.state
  const redirectUri = redirectUriOf(issuer, connection.id)
  const attempt = newAttempt(random, { redirectUri, locale, forceSignIn: false, isRetry: false })
  const sent = await connector.authorizationUrl(connection, attempt).catch((error: unknown) => ({ error }))
  // The trial stays: what is wrong may be mended and tried again with the same address.
  if ('error' in sent) return showFailure(ctx, connection, sent.error)
  await saveTrip(store, { attempt, ticketId: ticket.id, connectionId: connection.id, browser })
  seeOther(ctx, sent.href)
}

async function open(
  { db, vault: { sealer } }: TrialDeps,
  ctx: HttpContext,
  sealed: string | undefined,
): Promise<{ ticket: TrialTicket; connection: Connection }> {
  const ticket = openTicket(sealer, sealed, ctx.state.now)
  const connection = ticket && (await findConnection(db, ticket.connectionId))
  if (!ticket || !connection || !hasUpstream(connection.kind)) throw new Problem('trial_over')
  return { ticket, connection }
}
