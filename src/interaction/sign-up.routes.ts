import type Router from '@koa/router'
import { z } from 'zod'
import { listConnections, presentConnection } from '../connections/connection.ts'
import type { VerifiedIdentity } from '../connections/connector.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { readForm } from '../http/input.ts'
import { sourceOf } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { signInOf } from '../members/authentication.ts'
import { normalizeEmail } from '../members/contact-point.ts'
import { findPasswordFault } from '../members/credentials/password.ts'
import { createMember } from '../members/member.ts'
import {
  beginRegistration,
  completeRegistration,
  findRegistration,
  requestRegistrationCode,
} from '../members/registration.ts'
import { federatedRegistrationForm, oneTimeCode, registrationForm } from '../members/registration-form.ts'
import { inTransaction, isUniqueViolation } from '../store/db.ts'
import { signedInAt } from './flow.ts'
import {
  emailHint,
  type Interaction,
  type InteractionDeps,
  isAwaitedByLink,
  loadInteraction,
  pendingIdentity,
  presentClient,
  proceed,
  requireSignInPrompt,
} from './interaction.ts'

const verification = z.object({ code: oneTimeCode })

/** Becoming a member: the form, then the code that proves the address. */
export function signUpStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/sign-up', async (ctx) => showSignUp(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/sign-up', async (ctx) => signUp(deps, ctx, await loadInteraction(deps, ctx)))
  router.get('/verify-email', async (ctx) => showVerify(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/verify-email', async (ctx) => verify(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/verify-email/resend', async (ctx) => resend(deps, ctx, await loadInteraction(deps, ctx)))
}

interface Again {
  values?: Record<string, string>
  fields?: Record<string, unknown>
}

async function showSignUp(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  again: Again = {},
): Promise<void> {
  requireSignInPrompt(interaction)
  const pending = await pendingIdentity(deps, ctx, interaction)
  // An account that is kept for who unlinked it brings nobody new: the dispatcher says so.
  if (pending?.held) return seeOther(ctx, `/interaction/${interaction.uid}`)
  const hint = emailHint(interaction)
  const connections = pending
    ? []
    : (await listConnections(deps.db, { withDisabled: false })).filter(({ allowSignIn }) => allowSignIn)
  render(ctx, 'interaction/sign-up', {
    uid: interaction.uid,
    client: await presentClient(deps, ctx, interaction),
    awaitedByLink: isAwaitedByLink(interaction),
    connections: connections.map((connection) => presentConnection(connection, ctx.state.locale)),
    values: pending ? pending.identity.profile : hint ? { email: hint } : {},
    fields: {},
    minLength: deps.passwordMinLength,
    ...(pending && { pendingIdentity: pending.shown }),
    ...again,
  })
}

async function signUp(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  requireSignInPrompt(interaction)
  const pending = await pendingIdentity(deps, ctx, interaction)
  if (pending?.held) return seeOther(ctx, `/interaction/${interaction.uid}`)
  const form = readForm(ctx, pending ? federatedRegistrationForm : registrationForm)
  const refuse = (again: Again) => {
    ctx.status = 422
    return showSignUp(deps, ctx, interaction, again)
  }
  if (!form.ok) return refuse({ values: form.values, fields: form.fields })
  const { name, email } = form.data
  const { locale, now, site } = ctx.state
  if (pending && isVouchedFor(pending.identity, email))
    return signUpVouchedFor(deps, ctx, interaction, { name, email, identity: pending.identity })
  const password =
    'password' in form.data && typeof form.data.password === 'string' ? form.data.password : undefined
  const fault =
    password !== undefined &&
    findPasswordFault(password, deps.passwordMinLength, [email, name, site.serviceName])
  if (fault)
    return refuse({
      values: { name, email },
      fields: { password: { key: fault, params: { min: deps.passwordMinLength } } },
    })

  const passwordHash = password === undefined ? {} : { passwordHash: await deps.hasher.hash(password) }
  const registrationId = await beginRegistration(
    deps,
    { name, email, locale, ...passwordHash },
    sourceOf(ctx.ip),
    now,
  )
  const { recoveryId: _, ...flow } = interaction.flow
  await proceed(deps, ctx, interaction, { ...flow, registrationId })
}

/** An upstream that is believed has proved this very address: no code is asked for. */
function isVouchedFor({ emailVerified, profile }: VerifiedIdentity, email: string): boolean {
  return emailVerified && normalizeEmail(profile.email ?? '@') === normalizeEmail(email)
}

async function signUpVouchedFor(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  { name, email, identity }: { name: string; email: string; identity: VerifiedIdentity },
): Promise<void> {
  const { locale, now } = ctx.state
  const { connectionId } = identity
  try {
    const member = await inTransaction(deps.db, (tx) =>
      createMember(tx, { name, email, passwordHash: undefined, locale, connectionId }, now),
    )
    const signIn = signedInAt(now, signInOf(member, [], connectionId))
    await proceed(deps, ctx, interaction, { ...interaction.flow, signIn })
  } catch (error) {
    if (!isUniqueViolation(error)) throw error
    // It is a member's already: the dispatcher asks that member to sign in, or goes on with the form that was first.
    seeOther(ctx, `/interaction/${interaction.uid}`)
  }
}

async function showVerify(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid, flow }: Interaction,
  fields: Record<string, unknown> = {},
): Promise<void> {
  const registration = flow.registrationId && (await findRegistration(deps.store, flow.registrationId))
  if (!registration) return seeOther(ctx, `/interaction/${uid}/sign-up`)
  render(ctx, 'interaction/verify-email', {
    uid,
    email: registration.email,
    fields,
    resent: ctx.query.resent === '1',
  })
}

async function verify(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  requireSignInPrompt(interaction)
  const { registrationId, ...flow } = interaction.flow
  if (!registrationId) return seeOther(ctx, `/interaction/${interaction.uid}`)
  const refuse = (fields: Record<string, unknown>) => {
    ctx.status = 422
    return showVerify(deps, ctx, interaction, fields)
  }
  const form = readForm(ctx, verification)
  if (!form.ok) return refuse(form.fields)
  const result = await completeRegistration(deps, registrationId, form.data.code, ctx.state.now)
  switch (result.outcome) {
    case 'wrong':
      return refuse({ code: { key: 'code_wrong', params: { left: result.triesLeft } } })
    case 'used_up':
      return refuse({ code: 'code_used_up' })
    case 'over':
      return proceed(deps, ctx, interaction, flow)
    case 'registered': {
      const signIn = signedInAt(ctx.state.now, signInOf(result.member, ['otp']))
      return proceed(deps, ctx, interaction, { ...flow, signIn })
    }
  }
}

async function resend(deps: InteractionDeps, ctx: HttpContext, { uid, flow }: Interaction): Promise<void> {
  const sent =
    flow.registrationId !== undefined &&
    (await requestRegistrationCode(deps, flow.registrationId, ctx.state.now))
  seeOther(ctx, `/interaction/${uid}/${sent ? 'verify-email?resent=1' : 'sign-up'}`)
}
