import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection, presentConnection } from '../connections/connection.ts'
import { isTripProblem } from '../connections/failure.ts'
import type { Connection } from '../connections/settings.ts'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { requireForm } from '../http/input.ts'
import { render } from '../http/render.ts'
import { isRecent, type SignInUrl, seeOther } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import type { PasswordHasher } from '../members/credentials/password.ts'
import { Problem } from '../problem.ts'
import { equalInConstantTime } from '../security/digest.ts'
import { adoptLink } from './adopt.ts'
import { offerBeforeAgreement } from './campaigns/offer.ts'
import { showConflict } from './conflict/page.ts'
import { placeOf } from './consent/place.ts'
import { decideLink, type LinkDecision, type LinkRefusal } from './decide.ts'
import { endTransaction } from './end.ts'
import { displayNameOf, gatherFacts } from './identity.ts'
import { linkIdentity } from './link.ts'
import { consentDigest, consentText, type LinkConsentText } from './link-consent.ts'
import { actingMember, unlessOver } from './link-request.ts'
import { askLine, withdrawConfirmation } from './messaging/confirmation.ts'
import { orWait, showWaiting } from './messaging/waiting.ts'
import { type LinkOutcome, pathAfter } from './outcome.ts'
import type { TokenVault } from './tokens/token-vault.ts'
import { accountOf, heldPage, type LinkTransaction } from './transaction.ts'
import { relinkIdentity } from './unlink/relink.ts'
import { sendToUpstream, type TripDeps } from './upstream-trip.ts'
import { trailOf } from './way.ts'

export interface LinkDeps extends TripDeps {
  vault: TokenVault
  hasher: PasswordHasher
  signInUrl: SignInUrl
  recentSeconds: number
  termsVersion: string
  /** For how long a merge can be undone. */
  mergeUndoDays: number
  coolOffDays: number
}

const agreement = z.object({ shown: z.string().max(100) })

/** The page of one link transaction: it says what comes next, asks for the agreement, and carries it out. */
export function linkRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/link/:id' })
  router.get('/', (ctx) => unlessOver(deps, ctx, (transaction) => showNext(deps, ctx, transaction)))
  router.post('/agree', (ctx) => unlessOver(deps, ctx, (transaction) => agree(deps, ctx, transaction)))
  router.post('/decline', (ctx) => unlessOver(deps, ctx, (transaction) => decline(deps, ctx, transaction)))
  // From a sign-in that was canceled. Whoever else leads a browser here ends a link that it could begin anew.
  router.get('/canceled', (ctx) => unlessOver(deps, ctx, (transaction) => decline(deps, ctx, transaction)))
  return router
}

async function showNext(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const held = heldPage(transaction)
  if (held) return seeOther(ctx, held)
  if (transaction.purpose === 'link' && !transaction.sessionUid) {
    const adopted = await adoptLink(deps, ctx, transaction)
    return adopted && showNext(deps, ctx, adopted)
  }
  const memberId = actingMember(ctx, transaction)
  if (!memberId) return seeOther(ctx, deps.signInUrl(`/link/${transaction.id}`))
  const { session, now } = ctx.state
  if (!transaction.proved && !transaction.invited) {
    if (transaction.purpose !== 'link' || !session) throw new Problem('transaction_over')
    // Proof before power: whoever merely sits down at an open session cannot add a way in (OWASP ASVS 7.5.1).
    if (!isRecent(session, deps.recentSeconds, now))
      return seeOther(ctx, deps.signInUrl(`/link/${transaction.id}`, 'afresh'))
    return leaveForUpstream(deps, ctx, transaction)
  }
  await showDecision(deps, ctx, transaction, memberId)
}

/** Where a relying party waits, an upstream that cannot be reached is its answer, and not a page to be stuck on. */
async function leaveForUpstream(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
): Promise<void> {
  try {
    await sendToUpstream(deps, ctx, transaction)
  } catch (error) {
    if (!transaction.interactionUid || !isTripProblem(error)) throw error
    ctx.state.log.warn({ problem: error.code, err: error.cause }, 'upstream not reached')
    await endTransaction(deps, ctx, transaction, { outcome: 'failed', reason: error.code })
  }
}

async function showDecision(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  memberId: string,
): Promise<void> {
  const connection = await getUsableConnection(deps.db, transaction.connectionId)
  const decision = decideLink(await gatherFacts(deps.db, accountOf(transaction), memberId, ctx.state.now))
  if (!transaction.proved) return showUnproved(deps, ctx, transaction, connection, memberId, decision)
  switch (decision.action) {
    case 'ask_to_link':
      return showConsent(deps, ctx, transaction, connection, memberId)
    case 'relink':
      return relink(deps, ctx, transaction, memberId)
    case 'already_linked':
      return finish(deps, ctx, transaction, 'already_linked')
    case 'refuse':
      if (decision.reason === 'linked_to_another_member')
        return showConflict(deps, ctx, transaction, memberId)
      return refuse(deps, ctx, transaction, connection, decision.reason)
    default:
      throw new Error(`a member acts, so ${decision.action} cannot be decided`)
  }
}

/**
 * Before LINE has confirmed whose account it is, the member learns of it only what is theirs; everything else waits for
 * LINE's word, and the agreement it is asked to confirm.
 */
async function showUnproved(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
  memberId: string,
  decision: LinkDecision,
): Promise<void> {
  const isAwaited = transaction.awaits !== undefined
  if (decision.action === 'already_linked')
    return finish(deps, ctx, transaction, isAwaited ? 'linked' : 'already_linked')
  if (isAwaited) return showWaiting(deps, ctx, transaction, connection)
  if (decision.action === 'refuse' && decision.reason === 'another_identity_linked')
    return refuse(deps, ctx, transaction, connection, decision.reason)
  return showConsent(deps, ctx, transaction, connection, memberId)
}

/** The agreement stands: what was missing is the upstream's word, which has just been given. */
async function relink(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  memberId: string,
): Promise<void> {
  if (!transaction.proved) throw new Problem('transaction_over')
  const tokens = deps.transactions.openTokens(transaction)
  if (!(await deps.transactions.burn(transaction))) throw new Problem('transaction_over')
  const { identity } = transaction.proved
  const proof = { memberId, identity, tokens, trail: trailOf(transaction) }
  await relinkIdentity(deps.db, deps.vault, proof, ctx.state.now)
  await deps.transactions.settle(transaction, 'linked')
  seeOther(ctx, pathAfter(transaction, 'linked'))
}

async function showConsent(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
  memberId: string,
): Promise<void> {
  const identity = accountOf(transaction)
  const { locale, now } = ctx.state
  const link = { ...trailOf(transaction), memberId, identity }
  const [member, email, text, reward] = await Promise.all([
    deps.db.member.findUniqueOrThrow({ where: { id: memberId } }),
    primaryEmail(deps.db, memberId),
    consentText(deps.db, { connection, identity, termsVersion: deps.termsVersion, locale }, now),
    offerBeforeAgreement(deps.db, link, transaction.campaignId, locale, now),
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
    terms: text.terms,
    consentDays: text.consentDays,
    shown: consentDigest(text),
    reward,
  })
}

async function agree(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const held = heldPage(transaction)
  if (held) return seeOther(ctx, held)
  const memberId = actingMember(ctx, transaction)
  const { proved, invited, purpose } = transaction
  if (!memberId || !(proved ?? invited)) throw new Problem('wrong_browser')
  const identity = accountOf(transaction)
  const { shown } = requireForm(ctx, agreement)
  const connection = await getUsableConnection(deps.db, transaction.connectionId)
  const { locale, now } = ctx.state
  const basis = { connection, identity, termsVersion: deps.termsVersion, locale }
  const consent: LinkConsentText = await consentText(deps.db, basis, now)
  // What changed since the page was shown has not been agreed to.
  if (!equalInConstantTime(shown, consentDigest(consent)))
    return showConsent(deps, ctx, transaction, connection, memberId)

  const agreed = {
    ...{ memberId, consent, purpose, identity },
    ...trailOf(transaction),
    place: placeOf(ctx),
  }
  if (!proved) {
    const url = await askLine(deps, connection, transaction, agreed, now).catch(orWait(transaction))
    return seeOther(ctx, String(url))
  }
  const tokens = deps.transactions.openTokens(transaction)
  if (!(await deps.transactions.burn(transaction))) throw new Problem('transaction_over')
  try {
    await linkIdentity(deps.db, deps.vault, { ...agreed, tokens }, ctx.state.now)
  } catch (error) {
    await deps.transactions.reopen(transaction)
    if (!(error instanceof Problem) || error.status !== 409) throw error
    // Another agreement was first: it is told, and recorded, as if it had been there before the page.
    return showDecision(deps, ctx, transaction, memberId)
  }
  await deps.transactions.settle(transaction, 'linked')
  seeOther(ctx, pathAfter(transaction, 'linked'))
}

async function decline(deps: LinkDeps, ctx: HttpContext, transaction: LinkTransaction): Promise<void> {
  const memberId = actingMember(ctx, transaction)
  // LINE has confirmed it already: what came of that is shown.
  if (!(await withdrawConfirmation(deps.store, transaction))) return seeOther(ctx, `/link/${transaction.id}`)
  if (!(await deps.transactions.burn(transaction, 'declined'))) throw new Problem('transaction_over')
  await recordEvent(
    deps.db,
    { type: 'link.declined', ...(memberId && { memberId }), data: trailOf(transaction) },
    ctx.state.now,
  )
  seeOther(ctx, pathAfter(transaction, 'declined'))
}

async function finish(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  outcome: LinkOutcome,
): Promise<void> {
  await deps.transactions.burn(transaction, outcome)
  seeOther(ctx, pathAfter(transaction, outcome))
}

async function refuse(
  deps: LinkDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  connection: Connection,
  reason: LinkRefusal,
): Promise<void> {
  const { memberId } = transaction
  await deps.transactions.burn(transaction, `failed:${reason}`)
  await recordEvent(
    deps.db,
    { type: 'link.refused', ...(memberId && { memberId }), data: { ...trailOf(transaction), reason } },
    ctx.state.now,
  )
  ctx.status = 409
  const displayName = displayNameOf(accountOf(transaction).profile)
  render(ctx, 'linking/refused', {
    connection: presentConnection(connection, ctx.state.locale),
    identity: { displayName },
    reason,
    // A client that waits at an address of its own is told there; our own pages have told it here.
    backUrl: pathAfter(transaction, transaction.returnTo ? `failed:${reason}` : undefined),
  })
}
