import type Router from '@koa/router'
import { z } from 'zod'
import type { HttpContext, HttpState } from '../http/context.ts'
import { readForm } from '../http/input.ts'
import { sourceOf } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { signInOf } from '../members/authentication.ts'
import { emailAddress } from '../members/contact-point.ts'
import { findPasswordFault } from '../members/credentials/password.ts'
import { beginRecovery, completeRecovery, findRecovery } from '../members/recovery.ts'
import { newPassword, oneTimeCode } from '../members/registration-form.ts'
import { signedInAt } from './flow.ts'
import {
  emailHint,
  type Interaction,
  type InteractionDeps,
  loadInteraction,
  proceed,
  requireSignInPrompt,
} from './interaction.ts'

const request = z.object({ email: emailAddress })
const reset = z.object({ code: oneTimeCode, password: newPassword })

/** A forgotten password: a code to the address, then a new password. */
export function recoveryStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/forgot-password', async (ctx) => {
    const interaction = await loadInteraction(deps, ctx)
    const hint = emailHint(interaction)
    render(ctx, 'interaction/forgot-password', {
      uid: interaction.uid,
      values: hint ? { email: hint } : {},
      fields: {},
    })
  })
  router.post('/forgot-password', async (ctx) => requestCode(deps, ctx, await loadInteraction(deps, ctx)))
  router.get('/reset-password', async (ctx) => showReset(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/reset-password', async (ctx) => resetPassword(deps, ctx, await loadInteraction(deps, ctx)))
}

async function requestCode(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  requireSignInPrompt(interaction)
  const form = readForm(ctx, request)
  if (!form.ok) {
    ctx.status = 422
    render(ctx, 'interaction/forgot-password', {
      uid: interaction.uid,
      values: form.values,
      fields: form.fields,
    })
    return
  }
  const { locale, now } = ctx.state
  const recoveryId = await beginRecovery(deps, { email: form.data.email, locale }, sourceOf(ctx.ip), now)
  const { registrationId: _, ...flow } = interaction.flow
  await proceed(deps, ctx, interaction, { ...flow, recoveryId })
}

async function showReset(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid, flow }: Interaction,
  fields: Record<string, unknown> = {},
): Promise<void> {
  const recovery = flow.recoveryId && (await findRecovery(deps.store, flow.recoveryId))
  if (!recovery) return seeOther(ctx, `/interaction/${uid}/forgot-password`)
  render(ctx, 'interaction/reset-password', {
    uid,
    email: recovery.email,
    fields,
    minLength: deps.passwordMinLength,
  })
}

async function resetPassword(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
): Promise<void> {
  requireSignInPrompt(interaction)
  const { recoveryId, ...flow } = interaction.flow
  const recovery = recoveryId && (await findRecovery(deps.store, recoveryId))
  if (!recoveryId || !recovery) return seeOther(ctx, `/interaction/${interaction.uid}/forgot-password`)
  const refuse = (fields: Record<string, unknown>) => {
    ctx.status = 422
    return showReset(deps, ctx, interaction, fields)
  }
  const form = readForm(ctx, reset)
  if (!form.ok) return refuse(form.fields)
  const { code, password } = form.data
  // Judged before the code is spent, so that a weak password does not cost the code.
  const fault = findPasswordFault(password, deps.passwordMinLength, [
    recovery.email,
    ctx.state.site.serviceName,
  ])
  if (fault) return refuse({ password: { key: fault, params: { min: deps.passwordMinLength } } })

  const result = await completeRecovery(deps, { recoveryId, code, password }, ctx.state.now)
  switch (result.outcome) {
    case 'wrong':
      return refuse({ code: { key: 'code_wrong', params: { left: result.triesLeft } } })
    case 'used_up':
      return refuse({ code: 'code_used_up' })
    case 'over':
      return proceed(deps, ctx, interaction, flow)
    case 'recovered': {
      const signIn = signedInAt(ctx.state.now, signInOf(result.member, ['otp', 'pwd']))
      return proceed(deps, ctx, interaction, { ...flow, signIn })
    }
  }
}
