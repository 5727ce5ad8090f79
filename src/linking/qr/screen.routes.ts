import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection, presentConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { readForm } from '../../http/input.ts'
import { render } from '../../http/render.ts'
import { isRecent, requireSession, seeOther, sessionOf } from '../../http/signed-in.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import { displayNameOf } from '../identity.ts'
import type { LinkDeps } from '../link.routes.ts'
import { pathAfter } from '../outcome.ts'
import type { LinkTransaction } from '../transaction.ts'
import { linkBrowser, linkBrowsers } from '../upstream-trip.ts'
import { trailOf } from '../way.ts'
import { endQr } from './end.ts'
import { progressOf, type QrProgress } from './progress.ts'
import { changeQr, findQr, maxTries, type QrLink, startQr } from './qr-link.ts'
import { qrImage } from './qr-svg.ts'

const typed = z.object({ code: z.string().transform((text) => text.normalize('NFKC').replace(/[\s-]/g, '')) })

/** From the account page: a member who is signed in here lets a phone prove the account. */
export function qrStartRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account/connections/:id/qr' })
  router.use(requireSession(deps.signInUrl))
  // Whoever was sent to sign in afresh comes back here.
  router.get('/', (ctx) => seeOther(ctx, '/account'))
  router.post('/', async (ctx) => {
    const { memberId, uid: sessionUid } = sessionOf(ctx)
    const { now } = ctx.state
    const { id: connectionId } = await getUsableConnection(deps.db, String(ctx.params.id))
    // Proof before power (OWASP ASVS 7.5.1).
    if (!isRecent(sessionOf(ctx), deps.recentSeconds, now))
      return seeOther(ctx, deps.signInUrl('/account', 'afresh'))
    const trail = { connectionId, way: 'qr_code' } as const
    const ends = { agreesOn: 'screen', screen: linkBrowser(ctx), memberId, sessionUid } as const
    const link = await startQr(deps, { ...trail, ...ends })
    await recordEvent(deps.db, { type: 'link.started', memberId, data: trail }, now)
    seeOther(ctx, `/qr-screen/${link.id}`)
  })
  return router
}

/** The screen's side: shows the code to scan, takes the code that the phone shows, and tells how it ended. */
export function qrScreenRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/qr-screen/:id' })
  router.get('/', async (ctx) => showScreen(deps, ctx, await ownScreen(deps, ctx, String(ctx.params.id))))
  router.post('/open', async (ctx) => openCounter(deps, ctx, String(ctx.params.id)))
  router.post('/code', async (ctx) => typeCode(deps, ctx, await ownScreen(deps, ctx, String(ctx.params.id))))
  router.post('/cancel', async (ctx) => {
    const link = await ownScreen(deps, ctx, String(ctx.params.id))
    await endQr(deps, link, 'declined', ctx.state.now)
    seeOther(ctx, `/qr-screen/${link.id}`)
  })
  return router
}

/** @throws Problem transaction_over, wrong_browser */
async function ownScreen(deps: LinkDeps, ctx: HttpContext, id: string): Promise<QrLink> {
  const link = await findQr(deps.store, id)
  if (!link) throw new Problem('transaction_over')
  if (link.screen && !linkBrowsers(ctx).includes(link.screen)) throw new Problem('wrong_browser')
  const { session } = ctx.state
  if (link.memberId && (session?.memberId !== link.memberId || session.uid !== link.sessionUid))
    throw new Problem('wrong_browser')
  return link
}

/** The first browser at a counter that shows the code is the counter. */
async function openCounter(deps: LinkDeps, ctx: HttpContext, id: string): Promise<void> {
  const link = await ownScreen(deps, ctx, id)
  if (!link.screen) await changeQr(deps.store, link, { screen: linkBrowser(ctx) })
  seeOther(ctx, `/qr-screen/${id}`)
}

async function showScreen(
  deps: LinkDeps,
  ctx: HttpContext,
  link: QrLink,
  fields: object = {},
): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  if (progress.step === 'over') return leave(ctx, link, progress)
  if (link.onwardId) return seeOther(ctx, `/link/${link.onwardId}`)
  const connection = await getUsableConnection(deps.db, link.connectionId)
  // Without scripts as well: the page looks again by itself, unless somebody is typing.
  if (link.screen && progress.step !== 'to_type') ctx.set('Refresh', '4')
  const proved = 'transaction' in progress ? progress.transaction.proved : undefined
  render(ctx, 'linking/qr-screen', {
    base: `/qr-screen/${link.id}`,
    connection: presentConnection(connection, ctx.state.locale),
    step: link.screen ? progress.step : 'to_open',
    isCounter: link.agreesOn === 'phone',
    image: progress.step === 'to_scan' ? qrImage(`${deps.issuer}/qr/${link.token}`) : undefined,
    account: link.agreesOn === 'screen' ? displayNameOf(proved?.identity.profile) : undefined,
    fields,
  })
}

/** A counter goes back to the client's page, the account page says it itself. */
function leave(ctx: HttpContext, link: QrLink, { outcome }: Extract<QrProgress, { step: 'over' }>): void {
  if (link.agreesOn === 'screen' || link.returnTo)
    seeOther(ctx, pathAfter({ ...link, purpose: 'link' }, outcome))
  else render(ctx, 'linking/qr-screen', { step: 'over', isCounter: true, isLinked: /linked$/.test(outcome) })
}

/** Each guess is counted before it is judged, so guesses at once are guesses all the same (RFC 8628 section 5.1). */
async function typeCode(deps: LinkDeps, ctx: HttpContext, link: QrLink): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  if (progress.step !== 'to_type') return seeOther(ctx, `/qr-screen/${link.id}`)
  const form = readForm(ctx, typed)
  const counted = await changeQr(deps.store, link, { tries: link.tries + 1 })
  if (!form.ok || !equalInConstantTime(form.data.code, progress.code)) {
    if (counted.tries >= maxTries) {
      await endQr(deps, counted, 'failed:code_used_up', ctx.state.now)
      return seeOther(ctx, `/qr-screen/${link.id}`)
    }
    ctx.status = 422
    return showScreen(deps, ctx, counted, {
      code: { key: 'code_wrong', params: { left: maxTries - counted.tries } },
    })
  }
  if (link.agreesOn === 'screen') return handOver(deps, ctx, counted, progress.transaction)
  await changeQr(deps.store, counted, { isConfirmed: true })
  // Lets the phone's own page on.
  await deps.transactions.change(progress.transaction, { held: undefined })
  seeOther(ctx, `/qr-screen/${link.id}`)
}

/** The account that the phone has proved goes over to the member of the screen, who now has to agree. */
async function handOver(
  deps: LinkDeps,
  ctx: HttpContext,
  link: QrLink,
  from: LinkTransaction,
): Promise<void> {
  const { screen: browser, memberId, sessionUid } = link
  if (!from.proved || !browser || !memberId || !sessionUid) throw new Problem('transaction_over')
  const tokens = deps.transactions.openTokens(from)
  const bound = { browser, memberId, sessionUid, purpose: 'link', forceSignIn: false } as const
  const onward = await deps.transactions.start({ ...trailOf(link), ...bound })
  const { identity } = from.proved
  const sealedTokens = tokens && deps.transactions.sealTokens(onward.id, tokens)
  await deps.transactions.change(onward, { proved: { identity, ...(sealedTokens && { sealedTokens }) } })
  // Of two tabs that typed the code at once, one goes on.
  await changeQr(deps.store, link, { isConfirmed: true, onwardId: onward.id })
  await deps.transactions.burn(from)
  seeOther(ctx, `/link/${onward.id}`)
}
