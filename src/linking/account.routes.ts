import Router from '@koa/router'
import {
  findConnection,
  getUsableConnection,
  listConnections,
  presentConnection,
} from '../connections/connection.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter } from '../http/input.ts'
import { render } from '../http/render.ts'
import { isRecent, requireSession, seeOther, sessionOf } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import { Problem } from '../problem.ts'
import { beginLink } from './begin.ts'
import { findOffers, presentRewards, rewardNews } from './campaigns/offer.ts'
import { listEvidence } from './consent/evidence.ts'
import { displayNameOf } from './identity.ts'
import type { LinkDeps } from './link.routes.ts'
import { isLastSignInMethod, unlinkIdentity } from './unlink/unlink.ts'
import { linkBrowser } from './upstream-trip.ts'

const notices = new Set(['linked', 'unlinked', 'declined', 'already_linked', 'conflict_kept', 'link_failed'])

/** The member's home: who they are here, and the accounts linked to them. */
export function linkingAccountRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account' })
  router.use(requireSession(deps.signInUrl))
  router.get('/', (ctx) => showAccount(deps, ctx))
  router.post('/connections/:id/link', (ctx) => link(deps, ctx, String(ctx.params.id)))
  router.get('/connections/:id/unlink', (ctx) => showUnlink(deps, ctx, String(ctx.params.id)))
  router.post('/connections/:id/unlink', (ctx) => unlink(deps, ctx, String(ctx.params.id)))
  return router
}

async function showAccount({ db }: LinkDeps, ctx: HttpContext): Promise<void> {
  const { memberId } = sessionOf(ctx)
  const { locale, now } = ctx.state
  const [member, email, connections, identities, consents, rewards] = await Promise.all([
    db.member.findUniqueOrThrow({ where: { id: memberId } }),
    primaryEmail(db, memberId),
    listConnections(db, { withDisabled: true }),
    db.federatedIdentity.findMany({ where: { memberId } }),
    listEvidence(db, memberId, now),
    presentRewards(db, memberId, locale),
  ])
  const isLinked = ({ id }: { id: string }) => identities.some(({ connectionId }) => connectionId === id)
  const open = connections.filter((connection) => !connection.disabledAt && !isLinked(connection))
  const ids = open.map(({ id }) => id)
  const offers = await findOffers(db, memberId, ids, locale, now)
  const cards = connections
    .map((connection) => ({
      connection,
      identity: identities.find(({ connectionId }) => connectionId === connection.id),
    }))
    // A disabled connection is only shown to those who are linked through it: they may still unlink.
    .filter(({ connection, identity }) => identity || !connection.disabledAt)
    .map(({ connection, identity }) => ({
      ...presentConnection(connection, locale),
      offer: offers[connection.id],
      linked: identity && {
        displayName: displayNameOf(identity.profile),
        linkedAt: identity.linkedAt,
        lastUsedAt: identity.lastUsedAt ?? undefined,
      },
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
    rewardNews: flash?.flash === 'linked' && about && (await rewardNews(db, memberId, about.id, locale)),
    ...flash,
  })
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

async function showUnlink(deps: LinkDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  const session = sessionOf(ctx)
  const [connection, identity] = await Promise.all([
    findConnection(deps.db, connectionId),
    deps.db.federatedIdentity.findFirst({ where: { memberId: session.memberId, connectionId } }),
  ])
  if (!connection || !identity) throw new Problem('link_not_found')
  if (!isRecent(session, deps.recentSeconds, ctx.state.now))
    return seeOther(ctx, deps.signInUrl(ctx.path, 'afresh'))
  render(ctx, 'linking/unlink', {
    connection: presentConnection(connection, ctx.state.locale),
    identity: { displayName: displayNameOf(identity.profile), linkedAt: identity.linkedAt },
    lastMethod: await isLastSignInMethod(deps.db, session.memberId, identity.id),
    deauthorizes: connection.kind === 'line',
  })
}

async function unlink(deps: LinkDeps, ctx: HttpContext, connectionId: string): Promise<void> {
  const session = sessionOf(ctx)
  if (!isRecent(session, deps.recentSeconds, ctx.state.now)) {
    return seeOther(
      ctx,
      deps.signInUrl(`/account/connections/${encodeURIComponent(connectionId)}/unlink`, 'afresh'),
    )
  }
  await unlinkIdentity(deps.db, session.memberId, connectionId, ctx.state.now)
  seeOther(ctx, `/account?notice=unlinked&connection=${encodeURIComponent(connectionId)}`)
}
