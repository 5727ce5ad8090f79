import type Router from '@koa/router'
import type { HttpContext, HttpState } from '../http/context.ts'
import { seeOther } from '../http/signed-in.ts'
import { agreeAnew, nextRenewal, renderRenewal } from '../linking/consent/renewal-page.ts'
import { type Interaction, type InteractionDeps, loadInteraction, proceed } from './interaction.ts'

/** Asking a member who has just signed in for agreements to links that have to be given anew. It can be put off. */
export function renewalStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/renew-consent', async (ctx) => showRenewal(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/consents/:consentId/renew', async (ctx) =>
    renew(deps, ctx, await loadInteraction(deps, ctx), String(ctx.params.consentId)),
  )
  router.post('/put-off-renewal', async (ctx) => {
    const interaction = await loadInteraction(deps, ctx)
    await proceed(deps, ctx, interaction, { ...interaction.flow, renewalPutOff: true })
  })
}

/** Whether the dispatcher has to lead to this step. */
export async function isRenewalDue(
  deps: InteractionDeps,
  ctx: HttpContext,
  { flow }: Interaction,
): Promise<boolean> {
  if (!flow.signIn || flow.renewalPutOff) return false
  return (await nextRenewal(deps, ctx, flow.signIn.memberId)) !== undefined
}

async function showRenewal(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid, flow }: Interaction,
): Promise<void> {
  const renewal = flow.signIn && (await nextRenewal(deps, ctx, flow.signIn.memberId))
  if (!renewal) return seeOther(ctx, `/interaction/${uid}`)
  renderRenewal(ctx, renewal, {
    agreeUrl: `/interaction/${uid}/consents/${renewal.evidence.id}/renew`,
    laterUrl: `/interaction/${uid}/put-off-renewal`,
  })
}

/** Whatever came of it, the dispatcher knows what is next: another agreement, this one as it is now, or to go on. */
async function renew(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid, flow }: Interaction,
  id: string,
): Promise<void> {
  if (flow.signIn) await agreeAnew(deps, ctx, { id, memberId: flow.signIn.memberId })
  seeOther(ctx, `/interaction/${uid}`)
}
