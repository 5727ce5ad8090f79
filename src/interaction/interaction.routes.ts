import Router from '@koa/router'
import { getUsableConnection, holdUsableConnection } from '../connections/connection.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { seeOther } from '../http/signed-in.ts'
import { decideLink, type LinkDecision } from '../linking/decide.ts'
import { findIdentity, gatherFacts } from '../linking/identity.ts'
import { storeTokens } from '../linking/tokens/token-vault.ts'
import type { LinkTransaction } from '../linking/transaction.ts'
import { mendLink } from '../linking/unlink/needs-relink.ts'
import { trailOf } from '../linking/way.ts'
import { recordSignIn, signInOf } from '../members/authentication.ts'
import { findActiveMember } from '../members/member.ts'
import { acrOf } from '../oidc/acr.ts'
import { Problem } from '../problem.ts'
import { inTransaction } from '../store/db.ts'
import { consentStep } from './consent.routes.ts'
import { forgetFlow, signedInAt } from './flow.ts'
import {
  type Interaction,
  type InteractionDeps,
  loadInteraction,
  pendingIdentity,
  proceed,
  submit,
} from './interaction.ts'
import { isOfferDue, linkOfferStep } from './link-offer.routes.ts'
import { followLinkRequest, linkMadeMeanwhile } from './link-request.ts'
import { nextStep } from './next-step.ts'
import { recoveryStep } from './recovery.routes.ts'
import { isRenewalDue, renewalStep } from './renewal.routes.ts'
import { signInStep } from './sign-in.routes.ts'
import { signUpStep } from './sign-up.routes.ts'
import { readHint, signInThrough } from './upstream-sign-in.ts'

/** What happens between an authorization request and its answer: the dispatcher, and under it one page per step. */
export function interactionRoutes(deps: InteractionDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/interaction/:uid' })
  router.get('/', async (ctx) => dispatch(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/cancel', async (ctx) => {
    const { uid } = await loadInteraction(deps, ctx)
    await forgetFlow(deps.store, uid)
    seeOther(
      ctx,
      await submit(deps, ctx, { error: 'access_denied', error_description: 'the end-user cancelled' }),
    )
  })
  for (const step of [signInStep, signUpStep, recoveryStep, renewalStep, linkOfferStep, consentStep])
    step(router, deps)
  return router
}

async function dispatch(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { uid, flow, details } = interaction
  const pending = await pendingIdentity(deps, ctx, interaction)
  const transaction = pending?.transaction
  const link =
    pending && decideLink(await gatherFacts(deps.db, pending.identity, flow.signIn?.memberId, ctx.state.now))
  const hint = await readHint(deps, interaction)
  const step = nextStep({
    prompt: details.prompt.name,
    signedIn: flow.signIn !== undefined,
    registering: flow.registrationId !== undefined,
    recovering: flow.recoveryId !== undefined,
    link: link?.action,
    renewal: await isRenewalDue(deps, ctx, interaction),
    offer: await isOfferDue(deps, ctx, interaction),
    hinted: typeof hint === 'object',
  })
  switch (step) {
    case 'go_to_connection':
      if (typeof hint !== 'object') throw new Error('no connection to go to')
      return signInThrough(deps, ctx, interaction, hint.follow)
    case 'accept_identity':
      return acceptIdentity(deps, ctx, interaction, transaction, link)
    case 'confirm_link':
      return confirmLink(deps, ctx, interaction, transaction)
    case 'follow_link_request':
      return followLinkRequest(deps, ctx, interaction)
    case 'finish':
      return finish(deps, ctx, interaction)
    default:
      return seeOther(ctx, `/interaction/${uid}/${pages[step]}${ctx.search}`)
  }
}

const pages = {
  sign_in: 'sign-in',
  sign_up: 'sign-up',
  verify_email: 'verify-email',
  reset_password: 'reset-password',
  renew_consent: 'renew-consent',
  offer_link: 'link-offer',
  grant_consent: 'consent',
} as const

/** An identity that is linked already: whoever holds it is that member. */
async function acceptIdentity(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  transaction: LinkTransaction | undefined,
  link: LinkDecision | undefined,
): Promise<void> {
  if (!transaction?.proved || link?.action !== 'sign_in') throw new Problem('interaction_over')
  const { identity } = transaction.proved
  const connection = await getUsableConnection(deps.db, identity.connectionId)
  if (!connection.allowSignIn) throw new Problem('connection_unavailable')
  const member = await findActiveMember(deps.db, link.memberId)
  if (!member) throw new Problem('account_unavailable')
  const tokens = deps.transactions.openTokens(transaction)
  // Once: a copy of the same answer signs nobody in again.
  if (!(await deps.transactions.burn(transaction))) throw new Problem('transaction_over')
  await inTransaction(deps.db, async (tx) => {
    await holdUsableConnection(tx, connection.id)
    const linked = await findIdentity(tx, identity)
    if (linked?.memberId !== link.memberId) throw new Problem('transaction_over')
    await tx.federatedIdentity.update({
      where: { id: linked.id },
      data: { lastUsedAt: ctx.state.now, profile: identity.profile },
    })
    if (tokens) await storeTokens(tx, deps.vault, linked, tokens, ctx.state.now)
    await mendLink(tx, linked, trailOf(transaction), ctx.state.now)
  })
  const signIn = signedInAt(ctx.state.now, signInOf(member, [], connection.id))
  await proceed(deps, ctx, interaction, { signIn })
}

/** Hands over to the link's page, which now knows for whom it is. */
async function confirmLink(
  deps: InteractionDeps,
  ctx: HttpContext,
  { flow }: Interaction,
  transaction: LinkTransaction | undefined,
): Promise<void> {
  if (!transaction || !flow.signIn) throw new Problem('transaction_over')
  if (transaction.memberId !== flow.signIn.memberId)
    await deps.transactions.change(transaction, { memberId: flow.signIn.memberId })
  seeOther(ctx, `/link/${transaction.id}`)
}

async function finish(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { uid, details, flow } = interaction
  if (!flow.signIn) throw new Problem('interaction_over')
  const { memberId, amr, at } = flow.signIn
  const login = { accountId: memberId, amr: [...amr], acr: acrOf(flow.signIn), ts: at, remember: true }
  const made = await linkMadeMeanwhile(deps, interaction, memberId)
  // What another member has agreed to in this authorization is not this one's.
  const isAnother = details.session?.accountId !== memberId
  const forgotten = isAnother ? { consent: undefined, link: undefined } : {}
  const result = { login, ...forgotten, ...made, ...(details.prompt.name === 'create' && { create: {} }) }
  const begins = await recordSignIn(deps.db, flow.signIn, String(details.params.client_id), ctx.state.now)
  await forgetFlow(deps.store, uid)
  // Void by now: whoever it is proves it anew.
  seeOther(ctx, begins ? await submit(deps, ctx, result) : `/interaction/${uid}`)
}
