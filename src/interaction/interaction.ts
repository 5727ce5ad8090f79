import { errors, type Provider } from 'oidc-provider'
import { findConnection } from '../connections/connection.ts'
import type { HttpContext } from '../http/context.ts'
import { speak } from '../http/locale.ts'
import { seeOther } from '../http/signed-in.ts'
import { displayNameOf, isHeld } from '../linking/identity.ts'
import type { LinkDeps } from '../linking/link.routes.ts'
import { linkBrowsers } from '../linking/upstream-trip.ts'
import { emailAddress } from '../members/contact-point.ts'
import type { RecoveryDeps } from '../members/recovery.ts'
import { accountClientId } from '../oidc/clients/account-client.ts'
import { clientName } from '../oidc/clients/client.ts'
import type { CurrentProvider } from '../oidc/session.ts'
import { Problem } from '../problem.ts'
import { type Flow, readFlow, saveFlow } from './flow.ts'

export interface InteractionDeps extends LinkDeps, RecoveryDeps {
  provider: CurrentProvider
  passwordMinLength: number
}

type Details = Awaited<ReturnType<Provider['interactionDetails']>>

/** One authorization that waits for the person in front of this browser. */
export interface Interaction {
  uid: string
  details: Details
  flow: Flow
}

/**
 * The interaction of this address, and only in the browser it was begun in: its cookie says so. From here on the pages
 * speak the language the relying party asked for.
 * @throws Problem interaction_over
 */
export async function loadInteraction(
  { provider, store }: InteractionDeps,
  ctx: HttpContext & { params: { uid?: string } },
): Promise<Interaction> {
  const details = await provider()
    .interactionDetails(ctx.req, ctx.res)
    .catch((error: unknown) => {
      throw error instanceof errors.SessionNotFound
        ? new Problem('interaction_over', { cause: error })
        : error
    })
  if (details.uid !== ctx.params.uid) throw new Problem('interaction_over')
  speak(ctx, details.params.ui_locales)
  return { uid: details.uid, details, flow: await readFlow(store, details.uid) }
}

/** Whether the steps lead to a sign-in; asking for consent or a link is another matter. */
export function isSignInPrompt({ details }: Interaction): boolean {
  return details.prompt.name === 'login' || details.prompt.name === 'create'
}

/** Whether a link waits for this sign-in to our own pages, and can be canceled with it. */
export function isAwaitedByLink({ details: { params } }: Interaction): boolean {
  return params.client_id === accountClientId && /^\/link\/[\w-]+$/.test(String(params.state))
}

/** @throws Problem interaction_over */
export function requireSignInPrompt(interaction: Interaction): void {
  if (!isSignInPrompt(interaction)) throw new Problem('interaction_over')
}

/** The relying party as the page names it; our own pages are none. */
export async function presentClient(
  { db }: InteractionDeps,
  ctx: HttpContext,
  { details }: Interaction,
): Promise<{ name: string } | undefined> {
  const id = String(details.params.client_id)
  if (id === accountClientId) return undefined
  const name = await clientName(db, id, ctx.state.locale)
  return name ? { name } : undefined
}

/**
 * The member of a session that goes on, of whom the relying party, or a change of something that matters, wants a fresh
 * proof. A session that has ended is nobody's, and where another member is expected than the one signed in, that member
 * is not the one to ask: whoever comes signs in as at any other time.
 */
export function memberToProveAfresh({ details }: Interaction): string | undefined {
  return details.prompt.reasons.some((reason) => anybodysReasons.has(reason))
    ? undefined
    : details.session?.accountId
}

const anybodysReasons = new Set(['session_ended', 'id_token_hint', 'claims_id_token_sub_value'])

/** The address the relying party thinks the person has, to begin a form with; what is no address is left out. */
export function emailHint({ details }: Interaction): string | undefined {
  const { login_hint: hint } = details.params
  return emailAddress.safeParse(hint).data
}

/** Ends the interaction with a result and returns the address at which the engine takes over. */
export async function submit(
  { provider }: InteractionDeps,
  ctx: HttpContext,
  result: Record<string, unknown>,
): Promise<string> {
  return provider().interactionResult(
    ctx.req,
    ctx.res,
    result as Parameters<Provider['interactionResult']>[2],
  )
}

/** For steps: keeps what is known now and returns to the dispatcher. */
export async function proceed(
  { store }: InteractionDeps,
  ctx: HttpContext,
  { uid }: Interaction,
  flow: Flow,
): Promise<void> {
  await saveFlow(store, uid, flow)
  seeOther(ctx, `/interaction/${uid}`)
}

/** The upstream account this interaction waits to give a member to, if there is one. */
export async function pendingIdentity(
  { db, transactions }: InteractionDeps,
  ctx: HttpContext,
  { flow }: Interaction,
) {
  if (!flow.transactionId) return undefined
  const transaction = await transactions
    .get(flow.transactionId, linkBrowsers(ctx))
    .catch((error: unknown) => {
      if (error instanceof Problem) return undefined
      throw error
    })
  if (!transaction?.proved) return undefined
  const { identity } = transaction.proved
  const connection = await findConnection(db, identity.connectionId)
  // Switched off meanwhile: the visitor goes on as if they had not come through it.
  if (!connection || connection.disabledAt) return undefined
  // A member who is asked to link signs in through nothing.
  if (!connection.allowSignIn && transaction.way !== 'prompt') return undefined
  const shown = {
    connectionName: connection.name[ctx.state.locale],
    displayName: displayNameOf(identity.profile),
  }
  const held = await isHeld(db, identity, ctx.state.now)
  return { identity, transaction, shown, held }
}
