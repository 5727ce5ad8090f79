import type Router from '@koa/router'
import { z } from 'zod'
import { findConnection, presentConnection } from '../connections/connection.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter, readForm } from '../http/input.ts'
import { sourceOf } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { signInWithPassword } from '../members/authentication.ts'
import { emailAddress, primaryEmail } from '../members/contact-point.ts'
import { Problem } from '../problem.ts'
import { signedInAt } from './flow.ts'
import {
  emailHint,
  type Interaction,
  type InteractionDeps,
  isAwaitedByLink,
  loadInteraction,
  memberToProveAfresh,
  pendingIdentity,
  presentClient,
  proceed,
  requireSignInPrompt,
} from './interaction.ts'
import { offeredConnections, readHint, signInThrough } from './upstream-sign-in.ts'

const credentials = z.object({
  email: emailAddress,
  password: z.string({ error: 'required' }).min(1, 'required').max(1024, 'password_too_long'),
})

/** Signing in: with e-mail and password, or through a connection. */
export function signInStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/sign-in', async (ctx) => showSignIn(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/sign-in', async (ctx) => signIn(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/connections/:id', async (ctx) =>
    signInThrough(deps, ctx, await loadInteraction(deps, ctx), String(ctx.params.id)),
  )
}

interface Again {
  values?: Record<string, string>
  fields?: Record<string, string>
  formError?: string
  formErrorParams?: Record<string, string>
}

async function showSignIn(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  again: Again = {},
): Promise<void> {
  requireSignInPrompt(interaction)
  const pending = await pendingIdentity(deps, ctx, interaction)
  const accountId = memberToProveAfresh(interaction)
  const email = accountId && (await primaryEmail(deps.db, accountId))
  const hint = pending?.identity.profile.email ?? emailHint(interaction)
  const connections = pending ? [] : await offeredConnections(deps, interaction)
  render(ctx, 'interaction/sign-in', {
    uid: interaction.uid,
    client: await presentClient(deps, ctx, interaction),
    awaitedByLink: isAwaitedByLink(interaction),
    connections: connections.map((connection) => presentConnection(connection, ctx.state.locale)),
    values: hint ? { email: hint } : {},
    fields: {},
    ...(accountId && { reauthenticate: { email } }),
    ...(pending && { pendingLink: { ...pending.shown, held: pending.held } }),
    hintUnavailable: (await readHint(deps, interaction)) === 'unavailable',
    ...(await noticeOf(deps, ctx)),
    ...again,
  })
}

async function noticeOf({ db }: InteractionDeps, ctx: HttpContext): Promise<Again> {
  const notice = queryParameter(ctx, 'notice')
  const id = queryParameter(ctx, 'connection')
  const connection = notice && id ? await findConnection(db, id) : undefined
  if (!connection) return {}
  const formError = notice === 'declined' ? 'connection_cancelled' : 'upstream_failed'
  return { formError, formErrorParams: { name: connection.name[ctx.state.locale] } }
}

async function signIn(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  requireSignInPrompt(interaction)
  const form = readForm(ctx, credentials)
  if (!form.ok) {
    ctx.status = 422
    return showSignIn(deps, ctx, interaction, { values: form.values, fields: form.fields })
  }
  const { email, password } = form.data
  const verdict = await signInWithPassword(deps, { email, password, source: sourceOf(ctx.ip) }, ctx.state.now)
  if (verdict.outcome === 'suspended') throw new Problem('account_unavailable')
  if (verdict.outcome === 'wrong_credentials') {
    ctx.status = 422
    return showSignIn(deps, ctx, interaction, { values: { email }, formError: 'wrong_credentials' })
  }
  const { registrationId: _r, recoveryId: _c, ...flow } = interaction.flow
  await proceed(deps, ctx, interaction, {
    ...flow,
    signIn: signedInAt(ctx.state.now, verdict.signIn),
  })
}
