import Router from '@koa/router'
import { findConnection, presentConnection } from '../../connections/connection.ts'
import { kindOf } from '../../connections/kinds.ts'
import type { Connection } from '../../connections/settings.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { render } from '../../http/render.ts'
import { isRecent, requireSession, type SignInUrl, seeOther, sessionOf } from '../../http/signed-in.ts'
import { Problem } from '../../problem.ts'
import type { Db } from '../../store/db.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { displayNameOf } from '../identity.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import { isLastSignInMethod, unlinkIdentity } from './unlink.ts'

export interface UnlinkDeps {
  db: Db
  vault: TokenVault
  signInUrl: SignInUrl
  recentSeconds: number
  coolOffDays: number
}

/** Where a member ends a link: by its own address, or by its connection's where that is the only one of it. */
export function unlinkRoutes(deps: UnlinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account' })
  router.use(requireSession(deps.signInUrl))
  for (const path of ['/identities/:identityId/unlink', '/connections/:connectionId/unlink']) {
    router.get(path, (ctx) => withOwn(deps, ctx, (identity) => showUnlink(deps, ctx, identity)))
    router.post(path, (ctx) => withOwn(deps, ctx, (identity) => unlink(deps, ctx, identity)))
  }
  return router
}

/** @throws Problem link_not_found, whoever else's the identity is */
async function withOwn(
  deps: UnlinkDeps,
  ctx: HttpContext & { params: { identityId?: string; connectionId?: string } },
  step: (identity: FederatedIdentity) => Promise<void>,
): Promise<void> {
  const session = sessionOf(ctx)
  const { identityId, connectionId } = ctx.params
  const own = await deps.db.federatedIdentity.findMany({ where: { memberId: session.memberId } })
  const [identity, ...others] = own.filter(
    (candidate) => candidate.id === identityId || candidate.connectionId === connectionId,
  )
  if (!identity) throw new Problem('link_not_found')
  // Which of them is meant, the account page asks.
  if (others.length > 0) return seeOther(ctx, '/account')
  if (!isRecent(session, deps.recentSeconds, ctx.state.now))
    return seeOther(ctx, deps.signInUrl(ctx.path, 'afresh'))
  await step(identity)
}

async function showUnlink(deps: UnlinkDeps, ctx: HttpContext, identity: FederatedIdentity): Promise<void> {
  const { id, memberId, connectionId, profile, linkedAt } = identity
  const connection = await connectionOf(deps, connectionId)
  render(ctx, 'linking/unlink', {
    connection: presentConnection(connection, ctx.state.locale),
    identity: { id, displayName: displayNameOf(profile), linkedAt },
    lastMethod: await isLastSignInMethod(deps.db, memberId, id),
    deauthorizes: kindOf(connection.kind).deauthorize !== undefined,
    coolOffDays: deps.coolOffDays,
  })
}

async function unlink(deps: UnlinkDeps, ctx: HttpContext, identity: FederatedIdentity): Promise<void> {
  const { id: identityId, memberId, connectionId } = identity
  const policy = { sealer: deps.vault.sealer, coolOffDays: deps.coolOffDays }
  await unlinkIdentity(deps.db, policy, { memberId, identityId }, ctx.state.now)
  seeOther(ctx, `/account?notice=unlinked&connection=${encodeURIComponent(connectionId)}`)
}

async function connectionOf({ db }: UnlinkDeps, id: string): Promise<Connection> {
  const connection = await findConnection(db, id)
  if (!connection) throw new Problem('link_not_found')
  return connection
}
