import type Router from '@koa/router'
import { getUsableConnection, presentConnection } from '../connections/connection.ts'
import { isTripProblem } from '../connections/failure.ts'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { findOffer } from '../linking/campaigns/offer.ts'
import { findCandidate } from '../linking/prompts/candidate.ts'
import { dismiss, recordShowing } from '../linking/prompts/showing.ts'
import { linkBrowser, sendToUpstream } from '../linking/upstream-trip.ts'
import { trailOf } from '../linking/way.ts'
import { accountClientId } from '../oidc/clients/account-client.ts'
import { clientName } from '../oidc/clients/client.ts'
import { type Flow, saveFlow } from './flow.ts'
import {
  type Interaction,
  type InteractionDeps,
  loadInteraction,
  memberToProveAfresh,
  proceed,
} from './interaction.ts'

/** Asking a member who has just signed in to link an account. Whatever they choose, the sign-in goes on. */
export function linkOfferStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/link-offer', async (ctx) => showOffer(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/link-offer/accept', async (ctx) => accept(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/link-offer/later', async (ctx) => putOff(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/link-offer/never', async (ctx) => {
    const interaction = await loadInteraction(deps, ctx)
    const { signIn, linkOffer } = interaction.flow
    if (signIn && linkOffer) await dismiss(deps.db, signIn.memberId, linkOffer, ctx.state.now)
    await putOff(deps, ctx, interaction)
  })
}

/**
 * Whether the dispatcher has to lead to this step: once in a sign-in, and never where the relying party asked for more
 * than a sign-in (a fresh proof, a link of its own) or nobody waits but our own pages.
 */
export async function isOfferDue(
  { db }: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
): Promise<boolean> {
  const { flow, details } = interaction
  if (!flow.signIn || flow.linkOfferOver || flow.transactionId) return false
  if (flow.linkOffer) return true
  const { client_id: clientId, prompt = '', max_age: maxAge, link_connection: wanted } = details.params
  const isFresh = /(^| )login( |$)/.test(String(prompt)) || maxAge !== undefined
  if (clientId === accountClientId || isFresh || wanted !== undefined) return false
  if (memberToProveAfresh(interaction) !== undefined) return false
  const party = { memberId: flow.signIn.memberId, clientId: String(clientId) }
  return (await findCandidate(db, party, ctx.state.now)) !== undefined
}

/** Counted when it is first shown; a reload shows the same again. */
async function showOffer(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { uid, flow, details } = interaction
  const { signIn } = flow
  if (!signIn || flow.linkOfferOver) return seeOther(ctx, `/interaction/${uid}`)
  const connectionId = flow.linkOffer ?? (await choose(deps, ctx, interaction, signIn.memberId))
  if (connectionId === undefined) return putOff(deps, ctx, interaction)
  const { locale, now } = ctx.state
  const link = { connectionId, way: 'prompt', memberId: signIn.memberId } as const
  const connection = await getUsableConnection(deps.db, connectionId)
  const name = await clientName(deps.db, String(details.params.client_id), locale)
  render(ctx, 'linking/offer', {
    connection: presentConnection(connection, locale),
    client: { name },
    offer: await findOffer(deps.db, link, locale, now),
    linkUrl: `/interaction/${uid}/link-offer/accept`,
    laterAction: `/interaction/${uid}/link-offer/later`,
    neverUrl: `/interaction/${uid}/link-offer/never`,
  })
}

async function choose(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid, flow, details }: Interaction,
  memberId: string,
): Promise<string | undefined> {
  const { now } = ctx.state
  const clientId = String(details.params.client_id)
  const connection = await findCandidate(deps.db, { memberId, clientId }, now)
  if (!connection) return undefined
  const prompt = { connectionId: connection.id, clientId }
  // Another tab, or another sign-in at this moment, has shown it.
  if (!(await recordShowing(deps.db, prompt, { memberId, isOffer: true }, now))) return undefined
  await saveFlow(deps.store, uid, { ...flow, linkOffer: connection.id })
  return connection.id
}

function putOff(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  return proceed(deps, ctx, interaction, { ...interaction.flow, linkOfferOver: true })
}

/** To the upstream, for the member who has signed in here; the agreement comes after, and then the sign-in goes on. */
async function accept(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { uid, flow, details } = interaction
  const { signIn, linkOffer: connectionId } = flow
  if (!signIn || connectionId === undefined || flow.linkOfferOver) return seeOther(ctx, `/interaction/${uid}`)
  const { memberId } = signIn
  const { locale, now } = ctx.state
  const offer = await findOffer(deps.db, { connectionId, way: 'prompt', memberId }, locale, now)
  const transaction = await deps.transactions.start({
    ...{ connectionId, memberId, locale, purpose: 'sign_in', way: 'prompt', forceSignIn: false },
    ...{ interactionUid: uid, clientId: String(details.params.client_id), browser: linkBrowser(ctx) },
    ...(offer && { campaignId: offer.campaignId }),
  })
  await recordEvent(deps.db, { type: 'link.started', memberId, data: trailOf(transaction) }, now)
  const begun: Flow = { ...flow, linkOfferOver: true, transactionId: transaction.id }
  await saveFlow(deps.store, uid, begun)
  try {
    await sendToUpstream(deps, ctx, transaction)
  } catch (error) {
    if (!isTripProblem(error)) throw error
    ctx.state.log.warn({ problem: error.code, err: error.cause }, 'upstream not reached')
    seeOther(ctx, `/interaction/${uid}`)
  }
}
