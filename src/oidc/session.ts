import type { Provider } from 'oidc-provider'
import type { BrowserSession, HttpContext, HttpMiddleware } from '../http/context.ts'
import { findActiveMember, isSessionEnded } from '../members/member.ts'
import type { Db } from '../store/db.ts'

/** The engine as it is now: changing its keys replaces it, so whoever needs it asks each time. */
export type CurrentProvider = () => Provider

/** Puts the member's session on the request. It is the engine's own: there is no other sign-in state. */
export function readSession(db: Db, provider: CurrentProvider): HttpMiddleware {
  return async (ctx, next) => {
    ctx.state.session = await currentSession(db, provider(), ctx)
    return next()
  }
}

async function currentSession(
  db: Db,
  provider: Provider,
  ctx: HttpContext,
): Promise<BrowserSession | undefined> {
  const session = await provider.Session.get(ctx as unknown as Parameters<Provider['Session']['get']>[0])
  const { accountId, loginTs, uid, amr } = session
  if (!accountId || loginTs === undefined) return undefined
  const signedInAt = new Date(loginTs * 1000)
  const member = await findActiveMember(db, accountId)
  if (!member || isSessionEnded(member, signedInAt)) return undefined
  return { memberId: member.id, uid, signedInAt, amr: amr ?? [] }
}
