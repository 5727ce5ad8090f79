import Router from '@koa/router'
import type { Context } from 'koa'
import { html } from '../html.ts'
import { lineConnection, sendAccount } from './account-page.ts'
import { frameOf, sendNotice } from './layout.ts'
import { explainFailure, type Failure, type FailureReason, type RelyingParty } from './relying-party.ts'
import type { Sessions, ShopSession } from './sessions.ts'

const maxPending = 5

interface Parts {
  /** The shop's own origin; the Host header is never asked. */
  url: string
  relyingParty: RelyingParty
  sessions: Sessions
}

/** Signing in with the member ID, the member's page, and signing out. */
export function createSignInRoutes(parts: Parts): Router {
  const router = new Router()
  addSignIn(router, parts)
  addAccount(router, parts)
  addSignOut(router, parts)
  return router
}

function addSignIn(router: Router, { url, relyingParty, sessions }: Parts): void {
  const begin = (ctx: Context, back: string, link?: string) => {
    const session = sessions.read(ctx)
    return talkToIssuer(ctx, session, async () => {
      const { url: authorization, pending } = await relyingParty.begin(back, link)
      const [oldest] = session.pending.keys()
      if (session.pending.size >= maxPending && oldest) session.pending.delete(oldest)
      session.pending.set(pending.state, pending)
      sessions.keep(ctx, session)
      seeOther(ctx, authorization.href)
    })
  }
  router.get('/sign-in', (ctx) => begin(ctx, returnTo(ctx)))
  // The answer says how it ended, in the ID token: `link_result`.
  router.post('/account/link-line', (ctx) => begin(ctx, '/account', lineConnection))

  router.get('/callback', (ctx) => {
    const session = sessions.read(ctx)
    const state = String(ctx.query.state ?? '')
    const pending = session.pending.get(state)
    // RFC 6749 section 10.12: an answer to a question this browser never asked is not taken, nor one twice.
    if (!pending) return sendFailure(ctx, session, { reason: 'expired', detail: 'unknown state' })
    session.pending.delete(state)
    return talkToIssuer(ctx, session, async () => {
      session.signedIn = await relyingParty.complete(new URL(ctx.url, url), pending)
      sessions.rotate(ctx, session)
      ctx.redirect(pending.returnTo)
    })
  })
}

function addAccount(router: Router, { relyingParty, sessions }: Parts): void {
  router.get('/account', (ctx) => {
    const session = sessions.read(ctx)
    if (!session.signedIn) return ctx.redirect('/sign-in')
    sendAccount(ctx, frameOf(ctx, session), session.signedIn, relyingParty)
  })

  router.post('/account/refresh', (ctx) => {
    const session = sessions.read(ctx)
    const { signedIn } = session
    if (!signedIn) return seeOther(ctx, '/sign-in')
    return talkToIssuer(ctx, session, async () => {
      session.signedIn = await relyingParty.refresh(signedIn)
      seeOther(ctx, '/account')
    })
  })
}

function addSignOut(router: Router, { relyingParty, sessions }: Parts): void {
  function forgetMember(ctx: Context, session: ShopSession): void {
    session.signedIn = undefined
    sessions.rotate(ctx, session)
  }

  router.post('/sign-out', (ctx) => {
    forgetMember(ctx, sessions.read(ctx))
    seeOther(ctx, '/signed-out')
  })

  router.post('/sign-out/everywhere', (ctx) => {
    const session = sessions.read(ctx)
    const { signedIn } = session
    // First here: whatever the issuer answers, this browser is signed out of the shop.
    forgetMember(ctx, session)
    return talkToIssuer(ctx, session, async () => {
      const endSession = signedIn && (await relyingParty.endSessionUrl(signedIn))
      seeOther(ctx, endSession?.href ?? '/signed-out')
    })
  })

  router.get('/signed-out', (ctx) => {
    const frame = frameOf(ctx, sessions.read(ctx))
    const { signedOutTitle: title, signedOutText: text, backToShop } = frame.text
    sendNotice(ctx, frame, { title, text, ways: html`<a class="button" href="/">${backToShop}</a>` })
  })
}

/** Runs one talk with the issuer; what went wrong on its side becomes a page with a way on. */
async function talkToIssuer(ctx: Context, session: ShopSession, talk: () => Promise<void>): Promise<void> {
  try {
    await talk()
  } catch (error) {
    const failure = explainFailure(error)
    if (!failure) throw error
    sendFailure(ctx, session, failure)
  }
}

const statuses: Record<FailureReason, number> = {
  declined: 200,
  expired: 400,
  unavailable: 503,
  withdrawn: 200,
  refused: 502,
}

function sendFailure(ctx: Context, session: ShopSession, failure: Failure): void {
  const { reason, detail } = failure
  if (reason === 'withdrawn') session.signedIn = undefined
  const frame = frameOf(ctx, session)
  const { text } = frame
  sendNotice(ctx, frame, {
    title: text[`${reason}Title`],
    text: text[`${reason}Text`],
    ways: html`<a class="button" href="/sign-in">${text.tryAgain}</a> <a href="/">${text.backToShop}</a>`,
    detail,
  })
  ctx.status = statuses[reason]
}

/** Only a path of this shop, never another site. */
function returnTo(ctx: Context): string {
  const asked = String(ctx.query.return_to ?? '')
  return /^\/(?![/\\])[\w/-]*$/.test(asked) ? asked : '/account'
}

function seeOther(ctx: Context, location: string): void {
  ctx.status = 303
  ctx.redirect(location)
}
