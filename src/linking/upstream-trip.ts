import { getUsableConnection } from '../connections/connection.ts'
import { hasUpstream } from '../connections/kinds.ts'
import type { OidcConnector } from '../connections/oidc.ts'
import { newAttempt, redirectUriOf, savePendingAuthorization } from '../connections/pending-authorization.ts'
import { acceptedBindings, browserBinding } from '../http/browser.ts'
import type { HttpContext } from '../http/context.ts'
import { type Budget, sourceOf, spend } from '../http/rate-limit.ts'
import { seeOther } from '../http/signed-in.ts'
import { Problem } from '../problem.ts'
import type { Random } from '../security/random.ts'
import type { Db } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { LinkTransaction, Transactions } from './transaction.ts'

export interface TripDeps {
  db: Db
  store: Ephemeral
  random: Random
  issuer: string
  connector: OidcConnector
  transactions: Transactions
}

const purpose = 'link transaction'
const trips: Budget = { name: 'upstream-trip', limit: 60, windowSeconds: 600 }

/** This browser, as link transactions know it. */
export const linkBrowser = (ctx: HttpContext) => browserBinding(ctx, purpose)
export const linkBrowsers = (ctx: HttpContext) => acceptedBindings(ctx, purpose)

/** A trip that is not for the transaction's own account; the upstream always asks anew who it is. */
interface OtherTrip {
  connectionId: string
  step: string
}

/**
 * Sends the browser to the upstream of a link transaction, by one redirect (LINE's app only opens on a tap that leads
 * straight there). @throws Problem connection_unavailable, upstream_unreachable, too_many_requests
 */
export async function sendToUpstream(
  deps: TripDeps,
  ctx: HttpContext,
  transaction: LinkTransaction,
  other?: OtherTrip,
): Promise<void> {
  const { db, store, random, issuer, connector } = deps
  await spend(store, trips, sourceOf(ctx.ip))
  const connection = await getUsableConnection(db, other?.connectionId ?? transaction.connectionId)
  if (!hasUpstream(connection.kind)) throw new Problem('connection_unavailable')
  const redirectUri = redirectUriOf(issuer, connection.id)
  const { retries } = transaction
  const forceSignIn = transaction.forceSignIn || other !== undefined
  const { locale } = ctx.state
  const attempt = newAttempt(random, { redirectUri, locale, forceSignIn, isRetry: retries > 0 })
  const url = await connector.authorizationUrl(connection, attempt)
  const { browser, id: transactionId, clientId } = transaction
  const rest = { ...(clientId && { clientId }), ...(other && { step: other.step }) }
  const connectionId = connection.id
  await savePendingAuthorization(store, { attempt, connectionId, browser, transactionId, ...rest })
  if (!other) await store.set(latestKey(browser, connectionId), transactionId, 600)
  seeOther(ctx, url.href)
}

/** The transaction this browser last left for that upstream with, when it still goes on. */
export async function findLatestTransaction(
  deps: TripDeps,
  ctx: HttpContext,
  connectionId: string,
): Promise<LinkTransaction | undefined> {
  for (const browser of linkBrowsers(ctx)) {
    const id = await deps.store.get(latestKey(browser, connectionId))
    if (id) return deps.transactions.get(id, [browser]).catch(() => undefined)
  }
  return undefined
}

const latestKey = (browser: string, connectionId: string) => `link-latest:${browser}:${connectionId}`
