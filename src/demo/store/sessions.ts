import { randomBytes } from 'node:crypto'
import type { Context } from 'koa'
import type { PendingSignIn, SignedIn } from './relying-party.ts'

/** What the shop remembers of one browser. */
export interface ShopSession {
  cart: Map<string, number>
  /** Authorizations on their way, by state: each tab has its own. */
  pending: Map<string, PendingSignIn>
  signedIn: SignedIn | undefined
}

export interface Sessions {
  /** The browser's session; a fresh one is not kept until `keep` is called. */
  read(ctx: Context): ShopSession
  keep(ctx: Context, session: ShopSession): void
  /** A new id for the same session, at sign-in and sign-out, so that an id planted before is worth nothing. */
  rotate(ctx: Context, session: ShopSession): void
}

// Cookies are shared by every port of a host, so the name must not be anyone else's.
const cookieName = 'demo_store_session'
const maxSessions = 10_000

export function createSessions(): Sessions {
  const sessions = new Map<string, ShopSession>()
  const idOf = (ctx: Context) => ctx.cookies.get(cookieName) ?? ''

  function store(ctx: Context, session: ShopSession): void {
    const id = randomBytes(32).toString('base64url')
    sessions.set(id, session)
    const [oldest] = sessions.keys()
    if (sessions.size > maxSessions && oldest) sessions.delete(oldest)
    ctx.cookies.set(cookieName, id, { httpOnly: true, sameSite: 'lax' })
  }

  return {
    read: (ctx) => sessions.get(idOf(ctx)) ?? { cart: new Map(), pending: new Map(), signedIn: undefined },
    keep(ctx, session) {
      if (sessions.get(idOf(ctx)) !== session) store(ctx, session)
    },
    rotate(ctx, session) {
      sessions.delete(idOf(ctx))
      store(ctx, session)
    },
  }
}

/** How many things are in the cart. */
export function cartCount(session: ShopSession): number {
  return [...session.cart.values()].reduce((sum, quantity) => sum + quantity, 0)
}
