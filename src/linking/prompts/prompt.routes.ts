import Router from '@koa/router'
import { presentConnection } from '../../connections/connection.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter } from '../../http/input.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { beginLink } from '../begin.ts'
import { findOffer, rewardNews } from '../campaigns/offer.ts'
import type { LinkDeps } from '../link.routes.ts'
import { linkBrowser } from '../upstream-trip.ts'
import { decidePrompt, type PromptDecision } from './decide.ts'
import { findPlace, mayTell, type PromptPlace } from './place.ts'
import { countShowing, dismiss, promptHistory, recordShowing } from './showing.ts'

const visits: Budget = { name: 'link-prompt', limit: 60, windowSeconds: 600 }
/** How long a browser of somebody unknown is left in peace: as long as it is known itself. */
const strangerSeconds = 86_400

/**
 * The prompt a relying party sends a browser to (`/prompt?client=..&connection=..`), by a link, a redirect or the button
 * of its script. It is decided here, in our own first-party context, whether there is anything to ask.
 */
export function promptRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/prompt' })
  router.get('/', (ctx) => visit(deps, ctx))
  router.get('/offer', (ctx) => show(deps, ctx))
  router.post('/link', async (ctx) => link(deps, ctx, await placeOf(deps, ctx)))
  router.post('/never', (ctx) => never(deps, ctx))
  router.get('/done', (ctx) => showEnd(deps, ctx))
  return router
}

function placeOf({ db }: LinkDeps, ctx: HttpContext): Promise<PromptPlace> {
  return findPlace(db, {
    clientId: queryParameter(ctx, 'client') ?? '',
    connectionId: queryParameter(ctx, 'connection') ?? '',
    returnTo: queryParameter(ctx, 'return_to'),
  })
}

/** An address of these pages for the same place. */
function pathTo(page: string, ctx: HttpContext, more: Record<string, string> = {}): string {
  const asked = ['client', 'connection', 'return_to', 'ui_locales'].flatMap((name) => {
    const value = queryParameter(ctx, name)
    return value === undefined ? [] : [[name, value]]
  })
  return `/prompt${page}?${new URLSearchParams([...asked, ...Object.entries(more)])}`
}

async function visit(deps: LinkDeps, ctx: HttpContext): Promise<void> {
  await spend(deps.store, visits, sourceOf(ctx.ip))
  const place = await placeOf(deps, ctx)
  const decision = await decide(deps, ctx, place)
  if (decision === 'link') return link(deps, ctx, place)
  // Another tab or process may have shown it meanwhile.
  const isShown = decision !== 'go_back' && (await count(deps, ctx, place, decision))
  seeOther(ctx, isShown ? pathTo('/offer', ctx) : place.returnUrl)
}

async function decide(deps: LinkDeps, ctx: HttpContext, place: PromptPlace): Promise<PromptDecision> {
  const { session, now } = ctx.state
  const { connection } = place
  const isPressed = queryParameter(ctx, 'shown') === '1'
  if (!session) {
    const isCapped = (await deps.store.get(strangerKey(ctx, place))) !== undefined
    return decidePrompt({ isLinked: false, mayTell: false, isDismissed: false, isCapped, isPressed })
  }
  const { memberId } = session
  return decidePrompt({
    isLinked: await isLinked(deps, memberId, connection.id),
    mayTell: await mayTell(deps.db, place, memberId),
    ...(await promptHistory(deps.db, memberId, connection, now)),
    isPressed,
  })
}

async function isLinked({ db }: LinkDeps, memberId: string, connectionId: string): Promise<boolean> {
  return (await db.federatedIdentity.count({ where: { memberId, connectionId } })) > 0
}

const strangerKey = (ctx: HttpContext, { connection, clientId }: PromptPlace) =>
  `link-prompt:${linkBrowser(ctx)}:${connection.id}:${clientId}`

/** False when there is nothing to show any more. A visit after the button counts as shown where it was pressed. */
async function count(
  deps: LinkDeps,
  ctx: HttpContext,
  place: PromptPlace,
  decision: PromptDecision,
): Promise<boolean> {
  const { session, now } = ctx.state
  const prompt = { connectionId: place.connection.id, clientId: place.clientId }
  if (queryParameter(ctx, 'shown') === '1') return true
  if (session) {
    const showing = { memberId: session.memberId, isOffer: decision === 'offer' }
    return recordShowing(deps.db, prompt, showing, now)
  }
  const isFirst = await deps.store.setIfAbsent(strangerKey(ctx, place), '', strangerSeconds)
  if (isFirst) await countShowing(deps, prompt, sourceOf(ctx.ip), now)
  return isFirst
}

/** Shows it without deciding anew, so that it may be reloaded, and read in the other language. */
async function show(deps: LinkDeps, ctx: HttpContext): Promise<void> {
  const place = await placeOf(deps, ctx)
  const { session, locale, now } = ctx.state
  const { connection } = place
  const memberId = session?.memberId
  const offered = { connectionId: connection.id, way: 'prompt', memberId } as const
  render(ctx, 'linking/offer', {
    connection: presentConnection(connection, locale),
    client: { name: place.clientName[locale] },
    isLinked: memberId !== undefined && (await isLinked(deps, memberId, connection.id)),
    offer: await findOffer(deps.db, offered, locale, now),
    linkUrl: pathTo('/link', ctx),
    laterUrl: place.returnUrl,
    neverUrl: session && pathTo('/never', ctx),
  })
}

/** From here on the transaction's own page leads, and at its end `/prompt/done`. */
async function link(deps: LinkDeps, ctx: HttpContext, { connection, clientId }: PromptPlace): Promise<void> {
  const { session, now, locale } = ctx.state
  // Whoever signs in comes back as one who has pressed the button.
  if (!session) return seeOther(ctx, deps.signInUrl(pathTo('', ctx, { shown: '1' })))
  const transaction = await beginLink(
    deps,
    {
      ...{ connectionId: connection.id, clientId, way: 'prompt', locale, forceSignIn: false },
      ...{ memberId: session.memberId, sessionUid: session.uid, browser: linkBrowser(ctx) },
      endPath: pathTo('/done', ctx),
    },
    now,
  )
  seeOther(ctx, `/link/${transaction.id}`)
}

async function never(deps: LinkDeps, ctx: HttpContext): Promise<void> {
  const { connection, returnUrl } = await placeOf(deps, ctx)
  const { session, now } = ctx.state
  if (session) await dismiss(deps.db, session.memberId, connection.id, now)
  seeOther(ctx, returnUrl)
}

const notices = new Set([
  ...['linked', 'declined', 'already_linked', 'link_failed'],
  ...['conflict_kept', 'moved', 'merged'],
])

/** How it ended, and the way back. */
async function showEnd(deps: LinkDeps, ctx: HttpContext): Promise<void> {
  const { connection, clientName, returnUrl } = await placeOf(deps, ctx)
  const { session, locale } = ctx.state
  const notice = queryParameter(ctx, 'notice') ?? ''
  if (!session || !notices.has(notice)) return seeOther(ctx, returnUrl)
  render(ctx, 'linking/offer-end', {
    connection: presentConnection(connection, locale),
    client: { name: clientName[locale] },
    notice,
    rewardNews: notice === 'linked' && (await rewardNews(deps.db, session.memberId, connection.id, locale)),
    returnUrl,
  })
}
