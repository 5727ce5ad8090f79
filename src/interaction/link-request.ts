import { getUsableConnection } from '../connections/connection.ts'
import type { HttpContext } from '../http/context.ts'
import { seeOther } from '../http/signed-in.ts'
import { beginLink } from '../linking/begin.ts'
import type { LinkOutcome } from '../linking/outcome.ts'
import { linkBrowser, linkBrowsers } from '../linking/upstream-trip.ts'
import { lockMember } from '../members/member.ts'
import type { LinkResult } from '../oidc/link-request.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction } from '../store/db.ts'
import { type Interaction, type InteractionDeps, submit } from './interaction.ts'

/** As long as an interaction waits. */
const ttlSeconds = 3600

/** The link an interaction has led to: its latest transaction, and when the first began. */
interface Begun {
  transactionId: string
  since: string
}

interface Wanted {
  memberId: string
  connectionId: string
  clientId: string
}

/**
 * What a relying party asked for with `link_connection`. The member is led to the link transaction's own page; whatever
 * ends that leads back here, and how it ended goes to the engine. Until then every way back, a second tab or a
 * transaction that ran out while nobody looked leads on to the link.
 */
export async function followLinkRequest(
  deps: InteractionDeps,
  ctx: HttpContext,
  interaction: Interaction,
): Promise<void> {
  // Made part of another member meanwhile, say: the engine asks anew who it is.
  if (!ctx.state.session) return seeOther(ctx, await submit(deps, ctx, {}))
  const wanted = wantedLink(ctx, interaction)
  const { uid } = interaction
  const stored = await deps.store.get(keyOf(uid))
  const begun: Begun | undefined = stored === undefined ? undefined : JSON.parse(stored)
  if (begun) {
    if (await isOpen(deps, ctx, begun)) return seeOther(ctx, `/link/${begun.transactionId}`)
    const outcome = await findOutcome(deps, ctx, wanted, begun)
    if (outcome) return tell(deps, ctx, wanted, outcome)
  }
  const connection = await getUsableConnection(deps.db, wanted.connectionId).catch(unlessUnavailable)
  if (!connection) return tell(deps, ctx, wanted, 'failed:connection_unavailable')
  const id = await begin(deps, ctx, interaction, wanted, begun)
  seeOther(ctx, id === undefined ? `/interaction/${uid}` : `/link/${id}`)
}

const keyOf = (uid: string) => `link-request:${uid}`

/** Who is signed in must be whom the engine asked for: another tab may have signed somebody else in, or out. */
function wantedLink(ctx: HttpContext, { details }: Interaction): Wanted {
  const { link_connection: connectionId, client_id: clientId } = details.params
  const memberId = ctx.state.session?.memberId
  if (!memberId || memberId !== details.session?.accountId) throw new Problem('interaction_over')
  if (typeof connectionId !== 'string') throw new Problem('interaction_over')
  return { memberId, connectionId, clientId: String(clientId) }
}

/** The transaction's id; undefined when another tab has begun one meanwhile. */
async function begin(
  deps: InteractionDeps,
  ctx: HttpContext,
  { uid }: Interaction,
  { memberId, connectionId, clientId }: Wanted,
  before: Begun | undefined,
): Promise<string | undefined> {
  const { locale, now, session } = ctx.state
  const transaction = await beginLink(
    deps,
    {
      ...{ memberId, connectionId, clientId, locale, way: 'client_request', interactionUid: uid },
      ...(session && { sessionUid: session.uid }),
      browser: linkBrowser(ctx),
      forceSignIn: false,
    },
    now,
  )
  const since = before ? before.since : now.toISOString()
  const begun: Begun = { transactionId: transaction.id, since }
  const isFirst = before
    ? await deps.store.replace(keyOf(uid), JSON.stringify(before), JSON.stringify(begun))
    : await deps.store.setIfAbsent(keyOf(uid), JSON.stringify(begun), ttlSeconds)
  return isFirst ? transaction.id : undefined
}

async function isOpen(
  { transactions }: InteractionDeps,
  ctx: HttpContext,
  { transactionId }: Begun,
): Promise<boolean> {
  const transaction = await transactions.get(transactionId, linkBrowsers(ctx)).catch((error: unknown) => {
    if (error instanceof Problem) return undefined
    throw error
  })
  return transaction !== undefined
}

/**
 * How it ended. A transaction that was used up without a word is being carried out by another request, or the process
 * died meanwhile: then the evidence tells, once nobody holds the member any more. It tells too when a second click came
 * before the first had got that far, and so made the trip once more, to find the account linked.
 */
async function findOutcome(
  { db, transactions }: InteractionDeps,
  ctx: HttpContext,
  wanted: Wanted,
  { transactionId, since }: Begun,
): Promise<LinkOutcome | undefined> {
  const end = await transactions.findEnd(transactionId, linkBrowsers(ctx))
  if (end?.outcome && end.outcome !== 'already_linked') return end.outcome
  return (await hasAgreed(db, wanted, new Date(since))) ? 'linked' : end?.outcome
}

async function hasAgreed(
  db: Db,
  { memberId, connectionId, clientId }: Wanted,
  since: Date,
): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    await lockMember(tx, memberId)
    const where = { memberId, connectionId, clientId, agreedAt: { gte: since } }
    return (await tx.linkConsent.count({ where })) > 0
  })
}

async function tell(
  deps: InteractionDeps,
  ctx: HttpContext,
  { memberId, connectionId }: Wanted,
  outcome: LinkOutcome,
): Promise<void> {
  const link: LinkResult = { memberId, connectionId, outcome }
  seeOther(ctx, await submit(deps, ctx, { link }))
}

/** For a sign-in: the very link that was asked for was made on the way, as when a new member comes through it. */
export async function linkMadeMeanwhile(
  { db }: Pick<InteractionDeps, 'db'>,
  { details }: Interaction,
  memberId: string,
): Promise<{ link?: LinkResult }> {
  const { link_connection: connectionId, client_id: clientId } = details.params
  if (typeof connectionId !== 'string' || !/^[a-z0-9-]+$/.test(connectionId)) return {}
  const wanted = { memberId, connectionId, clientId: String(clientId) }
  if (!(await hasAgreed(db, wanted, new Date(details.iat * 1000)))) return {}
  return { link: { memberId, connectionId, outcome: 'linked' satisfies LinkOutcome } }
}

function unlessUnavailable(error: unknown): undefined {
  if (!(error instanceof Problem) || error.code !== 'connection_unavailable') throw error
}
