import { getUsableConnection, listConnections } from '../connections/connection.ts'
import { provesAfresh } from '../connections/kinds.ts'
import type { Connection } from '../connections/settings.ts'
import type { HttpContext } from '../http/context.ts'
import { seeOther } from '../http/signed-in.ts'
import { linkBrowser, sendToUpstream } from '../linking/upstream-trip.ts'
import { Problem } from '../problem.ts'
import { saveFlow } from './flow.ts'
import {
  type Interaction,
  type InteractionDeps,
  isSignInPrompt,
  memberToProveAfresh,
  requireSignInPrompt,
} from './interaction.ts'

/** Connections that sign in; for a fresh proof, only those that can give one, and that this member has. */
export async function offeredConnections(
  { db }: Pick<InteractionDeps, 'db'>,
  interaction: Interaction,
): Promise<Connection[]> {
  const accountId = memberToProveAfresh(interaction)
  const fresh = needsFreshProof(interaction)
  const connections = (await listConnections(db, { withDisabled: false })).filter(
    (connection) => connection.allowSignIn && (!fresh || provesAfresh(connection)),
  )
  if (!accountId) return connections
  const own = await db.federatedIdentity.findMany({
    where: { memberId: accountId },
    select: { connectionId: true },
  })
  return connections.filter(({ id }) => own.some(({ connectionId }) => connectionId === id))
}

/**
 * The connection the relying party asked to go straight to (`connection`): `follow` it, say that it is `unavailable`,
 * or nothing, when none was asked for or this authorization has been to an upstream or signed in already. It is
 * followed once, so that whatever an upstream answers leads to our own page and never back to it by itself.
 */
export async function readHint(
  deps: Pick<InteractionDeps, 'db'>,
  interaction: Interaction,
): Promise<{ follow: string } | 'unavailable' | undefined> {
  const { details, flow } = interaction
  const { connection: hint } = details.params
  if (typeof hint !== 'string' || hint === '' || !isSignInPrompt(interaction)) return undefined
  if (flow.transactionId !== undefined || details.lastSubmission?.login !== undefined) return undefined
  const offered = await offeredConnections(deps, interaction)
  return offered.some(({ id }) => id === hint) ? { follow: hint } : 'unavailable'
}

/** Sends the browser to an upstream to sign in there. @throws Problem connection_unavailable, too_many_requests */
export async function signInThrough(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
  connectionId: string,
): Promise<void> {
  requireSignInPrompt(interaction)
  const connection = await getUsableConnection(deps.db, connectionId)
  const forceSignIn = needsFreshProof(interaction)
  if (!connection.allowSignIn || (forceSignIn && !provesAfresh(connection)))
    throw new Problem('connection_unavailable')
  const { uid, details } = interaction
  const transaction = await deps.transactions.start({
    connectionId,
    purpose: 'sign_in',
    way: 'sign_in',
    browser: linkBrowser(ctx),
    interactionUid: uid,
    clientId: String(details.params.client_id),
    locale: ctx.state.locale,
    forceSignIn,
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

/**
 * True when the upstream must ask anew who it is: our session of now is what its answer becomes, and a relying party
 * that wants a fresh or recent one (prompt=login, max_age) does not get the upstream's of long ago.
 */
function needsFreshProof(interaction: Interaction): boolean {
  const { prompt, max_age: maxAge } = interaction.details.params
  const isAsked = typeof prompt === 'string' && prompt.split(' ').includes('login')
  return isAsked || maxAge !== undefined || memberToProveAfresh(interaction) !== undefined
}
