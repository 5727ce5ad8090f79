import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection, presentConnection } from '../connections/connection.ts'
import type { Connection } from '../connections/settings.ts'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { requireForm } from '../http/input.ts'
import { speak } from '../http/locale.ts'
import { render } from '../http/render.ts'
import { isRecent, type SignInUrl, seeOther } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import { Problem } from '../problem.ts'
import { equalInConstantTime } from '../security/digest.ts'
import { decideLink } from './decide.ts'
import { displayNameOf, gatherFacts } from './identity.ts'
import { linkIdentity } from './link.ts'
import { consentDigest, consentText, type LinkConsentText } from './link-consent.ts'
import type { TokenVault } from './token-vault.ts'
import type { LinkTransaction } from './transaction.ts'
import { linkBrowsers, sendToUpstream, type TripDeps } from './upstream-trip.ts'

export interface LinkDeps extends TripDeps {
  vault: TokenVault
  signInUrl: SignInUrl
  recentSeconds: number
  termsVersion: string
}

const agreement = z.object({ shown: z.string().max(100) })

/** The page of one link transaction: it says what comes next, asks for the agreement, and carries it out. */
export function linkRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/link/:id' })
  router.get('/', (ctx) => unlessOver(deps, ctx, (transaction) => showNext(deps, ctx, transaction)))
  router.post('/agree', (ctx) => unlessOver(deps, ctx, (transaction) => agree(deps, ctx, transaction)))
  router.post('/decline', (ctx) => unlessOver(deps, ctx, (transaction) => decline(deps, ctx, transaction)))
  return router
}

/** A second click, a reload or the back button leads to where the transaction has led. */
async function unlessOver(
  deps: LinkDeps,
  ctx: HttpContext & { params: { id?: string } },
  step: (transaction: LinkTransaction) => Promise<void>,
) {
  const id = String(ctx.params.id)
  try {
    const transaction = await deps.transactions.get(id, linkBrowsers(ctx))
    speak(ctx, transaction.locale)
    await step(transaction)
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'transaction_over') throw error
    const outcome = await deps.transactions.findOutcome(id, linkBrowsers(ctx))
    if (!outcome) throw error
    seeOther(ctx, outcome)
  }
}

async function showNext(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const memberId = actingMember(ctx, transaction)
  if (!memberId) return seeOther(ctx, deps.signInUrl(`/link/${transaction.id}`))
  const { session, now } = ctx.state
  if (!transaction.proved) {
    if (transaction.purpose !== 'link' || !session) throw new Problem('transaction_over')
    // Proof before power: whoever merely sits down at an open session cannot add a way in (OWASP ASVS 7.5.1).
    if (!isRecent(session, deps.recentSeconds, now))
      return seeOther(ctx, deps.signInUrl(`/link/${transaction.id}`, 'afresh'))
    return sendToUpstream(deps, ctx, transaction)
  }
  await showDecision(deps, ctx, transaction, memberId)
}

async function showDecision(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  memberId: string,
): Promise<void> {
  if (!transaction.proved) throw new Problem('transaction_over')
  const connection = await getUsableConnection(deps.db, transaction.connectionId)
  const decision = decideLink(await gatherFacts(deps.db, transaction.proved.identity, memberId))
  switch (decision.action) {
    case 'ask_to_link':
      return showConsent(deps, ctx, transaction, connection, memberId)
    case 'already_linked':
      return finish(deps, ctx, transaction, 'already_linked')
    default:
      return refuse(
        deps,
        ctx,
        transaction,
        connection,
        decision.action === 'refuse' ? decision.reason : decision.action,
      )
  }
}

async function showConsent(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
  memberId: string,
): Promise<void> {
  if (!transaction.proved) throw new Problem('transaction_over')
  const { identity } = transaction.proved
  const [member, email, text] = await Promise.all([
    deps.db.member.findUniqueOrThrow({ where: { id: memberId } }),
    primaryEmail(deps.db, memberId),
    consentText(deps.db, connection, identity, deps.termsVersion, ctx.state.locale),
  ])
  render(ctx, 'linking/confirm', {
    transactionId: transaction.id,
    connection: presentConnection(connection, ctx.state.locale),
    identity: { displayName: displayNameOf(identity.profile), email: identity.profile.email },
    member: { name: member.name, email },
    received: text.received,
    shared: text.shared,
    purpose: transaction.purpose,
    termsVersion: text.termsVersion,
    shown: consentDigest(text),
  })
}

async function agree(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const memberId = actingMember(ctx, transaction)
  const { proved, purpose } = transaction
  if (!memberId || !proved) throw new Problem('wrong_browser')
  const { shown } = requireForm(ctx, agreement)
  const connection = await getUsableConnection(deps.db, transaction.connectionId)
  const consent: LinkConsentText = await consentText(
    deps.db,
    connection,
    proved.identity,
    deps.termsVersion,
    ctx.state.locale,
  )
  // What changed since the page was shown has not been agreed to.
  if (!equalInConstantTime(shown, consentDigest(consent)))
    return showConsent(deps, ctx, transaction, connection, memberId)

  const tokens = deps.transactions.openTokens(transaction)
  if (!(await deps.transactions.burn(transaction, returnPath(transaction))))
    throw new Problem('transaction_over')
  const agreed = { memberId, identity: proved.identity, tokens, consent, purpose }
  try {
    await linkIdentity(deps.db, deps.vault, agreed, ctx.state.now)
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 409) throw error
    // Another agreement was first: it is told, and recorded, as if it had been there before the page.
    return showDecision(deps, ctx, transaction, memberId)
  }
  seeOther(ctx, returnPath(transaction, 'linked'))
}

async function decline(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const memberId = actingMember(ctx, transaction)
  const { connectionId } = transaction
  const after = returnPath(transaction, 'declined')
  if (!(await deps.transactions.burn(transaction, after))) throw new Problem('transaction_over')
  await recordEvent(
    deps.db,
    { type: 'link.declined', ...(memberId && { memberId }), data: { connectionId } },
    ctx.state.now,
  )
  seeOther(ctx, after)
}

async function finish(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  notice: string,
): Promise<void> {
  const after = returnPath(transaction, notice)
  await deps.transactions.burn(transaction, after)
  seeOther(ctx, after)
}

async function refuse(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
  reason: string,
): Promise<void> {
  const { memberId } = transaction
  const backUrl = returnPath(transaction)
  await deps.transactions.burn(transaction, backUrl)
  await recordEvent(
    deps.db,
    { type: 'link.refused', ...(memberId && { memberId }), data: { connectionId: connection.id, reason } },
    ctx.state.now,
  )
  ctx.status = 409
  const displayName = displayNameOf(transaction.proved?.identity.profile)
  render(ctx, 'linking/conflict', {
    connection: presentConnection(connection, ctx.state.locale),
    identity: { displayName },
    reason,
    backUrl,
  })
}

/**
 * The member this browser may act for in this transaction: for `link`, the member and session that began it; for
 * `sign_in`, who has just signed in within it.
 */
function actingMember(
  ctx: HttpContext,
  { purpose, memberId, sessionUid }: LinkTransaction,
): string | undefined {
  if (purpose === 'sign_in') return memberId
  const { session } = ctx.state
  if (!session) return undefined
  if (session.memberId !== memberId || session.uid !== sessionUid) throw new Problem('wrong_browser')
  return memberId
}

function returnPath({ purpose, interactionUid, connectionId }: LinkTransaction, notice?: string): string {
  if (purpose === 'sign_in') return `/interaction/${interactionUid}`
  return notice ? `/account?notice=${notice}&connection=${connectionId}` : '/account'
}
