import type Router from '@koa/router'
import { z } from 'zod'
import {
  findConnection,
  getUsableConnection,
  listConnections,
  presentConnection,
} from '../connections/connection.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter, readForm } from '../http/input.ts'
import { sourceOf } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { linkBrowser, sendToUpstream } from '../linking/upstream-trip.ts'
import { signInWithPassword } from '../members/authentication.ts'
import { emailAddress, primaryEmail } from '../members/contact-point.ts'
import { Problem } from '../problem.ts'
import { saveFlow, signedInAt } from './flow.ts'
import {
  type Interaction,
  type InteractionDeps,
  loadInteraction,
  memberToProveAfresh,
  pendingIdentity,
  presentClient,
  proceed,
  requireSignInPrompt,
} from './interaction.ts'

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
  const { details, uid } = interaction
  const pending = await pendingIdentity(deps, ctx, interaction)
  const accountId = memberToProveAfresh(interaction)
  const email = accountId && (await primaryEmail(deps.db, accountId))
  const hint =
    pending?.identity.profile.email ??
    (typeof details.params.login_hint === 'string' ? details.params.login_hint.slice(0, 254) : undefined)
  render(ctx, 'interaction/sign-in', {
    uid,
    client: await presentClient(deps, ctx, interaction),
    connections: pending ? [] : await offeredConnections(deps, ctx, accountId),
    values: hint ? { email: hint } : {},
    fields: {},
    ...(accountId && { reauthenticate: { email } }),
    ...(pending && { pendingLink: pending.shown }),
    ...(await noticeOf(deps, ctx)),
    ...again,
  })
}

/** Connections that sign in; for a fresh proof, only those this member has. */
async function offeredConnections({ db }: InteractionDeps, ctx: HttpContext, accountId: string | undefined) {
  const connections = (await listConnections(db, { withDisabled: false })).filter(
    ({ allowSignIn }) => allowSignIn,
  )
  const own =
    accountId &&
    (await db.federatedIdentity.findMany({ where: { memberId: accountId }, select: { connectionId: true } }))
  return connections
    .filter(({ id }) => !own || own.some(({ connectionId }) => connectionId === id))
    .map((connection) => presentConnection(connection, ctx.state.locale))
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

async function signInThrough(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  connectionId: string,
): Promise<void> {
  requireSignInPrompt(interaction)
  const connection = await getUsableConnection(deps.db, connectionId)
  if (!connection.allowSignIn) throw new Problem('connection_unavailable')
  const { uid } = interaction
  const transaction = await deps.transactions.start({
    connectionId,
    purpose: 'sign_in',
    browser: linkBrowser(ctx),
    interactionUid: uid,
    forceSignIn: memberToProveAfresh(interaction) !== undefined,
  })
  await saveFlow(deps.store, uid, { transactionId: transaction.id })
  try {
    await sendToUpstream(deps, ctx, transaction)
  } catch (error) {
    if (!(error instanceof Problem) || !error.code.includes('upstream')) throw error
    ctx.state.log.warn({ problem: error.code, err: error.cause }, 'upstream not reached')
    seeOther(
      ctx,
      `/interaction/${uid}/sign-in?notice=link_failed&connection=${encodeURIComponent(connectionId)}`,
    )
  }
}
