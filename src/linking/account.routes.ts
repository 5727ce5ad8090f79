import Router from '@koa/router'
import { getUsableConnection, listConnections, presentConnection } from '../connections/connection.ts'
import { hasUpstream } from '../connections/kinds.ts'
import type { Connection } from '../connections/settings.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter } from '../http/input.ts'
import { render } from '../http/render.ts'
import { requireSession, seeOther, sessionOf } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import type { FederatedIdentity } from '../store/generated/client.ts'
import { beginLink } from './begin.ts'
import { findOffers, presentRewards, rewardNews } from './campaigns/offer.ts'
import { listEvidence } from './consent/evidence.ts'
import { displayNameOf } from './identity.ts'
import type { LinkDeps } from './link.routes.ts'
import { linkBrowser } from './upstream-trip.ts'

const notices = new Set([
  'linked',
  'unlinked',
  'declined',
  'already_linked',
  'conflict_kept',
  'moved',
  'merged',
  'link_failed',
  'line_account_differs',
])

/** The member's home: who they are here, and the accounts linked to them. */
export function linkingAccountRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account' })
  router.use(requireSession(deps.signInUrl))
  router.get('/', (ctx) => showAccount(deps, ctx))
  router.post('/connections/:id/link', (ctx) => link(deps, ctx, String(ctx.params.id)))
  return router
}

async function showAccount({ db }: LinkDeps, ctx: HttpContext): Promise<void> {
  const { memberId } = sessionOf(ctx)
  const { locale, now } = ctx.state
  const [member, email, connections, identities, former, consents, rewards] = await Promise.all([
    db.member.findUniqueOrThrow({ where: { id: memberId } }),
    primaryEmail(db, memberId),
    listConnections(db, { withDisabled: true }),
    db.federatedIdentity.findMany({ where: { memberId }, orderBy: { linkedAt: 'asc' } }),
    db.formerIdentity.findMany({ where: { memberId }, orderBy: { linkedAt: 'desc' } }),
    listEvidence(db, memberId, now),
    presentRewards(db, memberId, locale),
  ])
  const isLinked = ({ id }: { id: string }) => identities.some(({ connectionId }) => connectionId === id)
  const open = connections.filter((connection) => !connection.disabledAt && !isLinked(connection))
  const ids = open.map(({ id }) => id)
  const offers = await findOffers(db, memberId, ids, locale, now)
  const firstLinks = new Map(former.map(({ identityId, linkedAt }) => [identityId, linkedAt]))
  const cards = connections
    // A card for each account; after a merge a connection may have several.
    .flatMap((connection): { connection: Connection; identity?: FederatedIdentity }[] => {
      const linked = identities.filter(({ connectionId }) => connectionId === connection.id)
      return linked.length > 0 ? linked.map((identity) => ({ connection, identity })) : [{ connection }]
    })
    // A disabled connection is only shown to those who are linked through it: they may still unlink. Where a shop has to
    // vouch for the account there is nothing to press here.
    .filter(
      ({ connection, identity }) => identity || (!connection.disabledAt && hasUpstream(connection.kind)),
    )
    .map(({ connection, identity }) => ({
      ...presentConnection(connection, locale),
      offer: offers[connection.id],
      usable: !connection.disabledAt,
      linked: identity && presentLink(identity, firstLinks),
    }))
  const notice = queryParameter(ctx, 'notice')
  const about = cards.find(({ id }) => id === ctx.query.connection)
  const flash =
    notice && notices.has(notice) && about ? { flash: notice, flashParams: { name: about.name } } : undefined
  render(ctx, 'linking/account', {
    member: { id: member.id, name: member.name, email },
    connections: cards,
    renewals: consents
      .filter(({ state }) => state === 'renewal_required' || state === 'expired')
      .map(({ id, connectionId, shown }) => ({
        id,
        name: cards.find((card) => card.id === connectionId)?.name ?? shown.connection,
      })),
    rewards,
    hasMerges: (await db.merge.count({ where: { survivorId: memberId } })) > 0,
    rewardNews: flash?.flash === 'linked' && about && (await rewardNews(db, memberId, about.id, locale)),
    ...flash,
  })
}

/** `firstLinks`: when an account was first linked that has been unlinked since and linked again. */
function presentLink(
  { id, profile, linkedAt, lastUsedAt, needsRelinkSince, needsRelinkReason }: FederatedIdentity,
  firstLinks: ReadonlyMap<string, Date>,
) {
  return {
    ...{ id, linkedAt, displayName: displayNameOf(profile) },
    firstLinkedAt: firstLinks.get(id),
    lastUsedAt: lastUsedAt ?? undefined,
    needsRelink: needsRelinkSince ? (needsRelinkReason ?? 'tokens_revoked') : undefined,
  }
}

/** Only a form of ours gets here; from here on the transaction's own page leads. */
async function link(deps: LinkDeps, ctx: HttpContext, id: string): Promise<void> {
  const { memberId, uid: sessionUid } = sessionOf(ctx)
  const { id: connectionId } = await getUsableConnection(deps.db, id)
  const browser = linkBrowser(ctx)
  const fresh = {
    connectionId,
    way: 'account_page',
    browser,
    memberId,
    sessionUid,
    forceSignIn: false,
  } as const
  const transaction = await beginLink(deps, fresh, ctx.state.now)
  seeOther(ctx, `/link/${transaction.id}`)
}
