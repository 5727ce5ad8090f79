import Router from '@koa/router'
import { getUsableConnection, presentConnection } from '../../connections/connection.ts'
import { recordEvent } from '../../events/outbox.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { findRelyingParty } from '../../oidc/clients/relying-party.ts'
import { Problem } from '../../problem.ts'
import { displayNameOf } from '../identity.ts'
import type { LinkDeps } from '../link.routes.ts'
import { linkBrowser, linkBrowsers, sendToUpstream } from '../upstream-trip.ts'
import { trailOf } from '../way.ts'
import { endQr } from './end.ts'
import { progressOf } from './progress.ts'
import { changeQr, findScanned, type QrLink } from './qr-link.ts'

const visits: Budget = { name: 'qr-phone', limit: 600, windowSeconds: 600 }

/** The phone's side. The address is what the code on the screen says; the first phone that goes on is the only one. */
export function qrPhoneRoutes(deps: LinkDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/qr/:token' })
  router.use(async (ctx, next) => {
    await spend(deps.store, visits, sourceOf(ctx.ip))
    return next()
  })
  const step =
    (act: (ctx: HttpContext, link: QrLink) => Promise<void>) =>
    async (ctx: HttpContext & { params: { token?: string } }) =>
      act(ctx, await scanned(deps, ctx, String(ctx.params.token)))
  router.get(
    '/',
    step((ctx, link) => show(deps, ctx, link)),
  )
  router.post(
    '/join',
    step((ctx, link) => join(deps, ctx, link)),
  )
  router.post(
    '/prove',
    step((ctx, link) => prove(deps, ctx, link)),
  )
  router.post(
    '/confirm',
    step((ctx, link) => confirm(deps, ctx, link)),
  )
  router.post(
    '/cancel',
    step(async (ctx, link) => {
      await endQr(deps, link, 'declined', ctx.state.now)
      seeOther(ctx, pathOf(link))
    }),
  )
  return router
}

const pathOf = ({ token }: QrLink) => `/qr/${token}`

/** The same page for a code that is unknown, late, or another phone's; the audit trail has the reason. */
async function scanned({ db, store }: LinkDeps, ctx: HttpContext, token: string): Promise<QrLink> {
  const found = await findScanned(store, token)
  const isOthers =
    'link' in found && found.link.phone && !linkBrowsers(ctx).includes(found.link.phone.browser)
  if ('link' in found && !isOthers) return found.link
  const [reason, trail] =
    'link' in found ? ['second_phone', trailOf(found.link)] : [`qr_${found.over}`, found.trail]
  await recordEvent(db, { type: 'link.refused', data: { ...trail, reason } }, ctx.state.now)
  throw new Problem('invitation_over')
}

async function show(deps: LinkDeps, ctx: HttpContext, link: QrLink): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  const { locale } = ctx.state
  const connection = await getUsableConnection(deps.db, link.connectionId)
  if (
    link.agreesOn === 'phone' &&
    link.phone &&
    (progress.step === 'to_prove' || progress.step === 'to_agree')
  )
    return seeOther(ctx, `/link/${link.phone.transactionId}`)
  // Without scripts as well: the page looks again by itself while the other end is at it.
  if (progress.step === 'to_type' || progress.step === 'to_agree') ctx.set('Refresh', '4')
  const proved = 'transaction' in progress ? progress.transaction.proved : undefined
  render(ctx, 'linking/qr-phone', {
    base: pathOf(link),
    connection: presentConnection(connection, locale),
    client: link.clientId ? await findRelyingParty(deps.db, link.clientId, locale) : undefined,
    agreesOn: link.agreesOn,
    step: progress.step,
    account: displayNameOf(proved?.identity.profile),
    member: await hintOfMember(deps, link),
    code: progress.step === 'to_type' ? progress.code : undefined,
    isLinked: progress.step === 'over' && /linked$/.test(progress.outcome),
  })
}

/** Enough to see that a screen is not one's own, and no more: whoever has the code may be a stranger. */
async function hintOfMember({ db }: LinkDeps, { memberId }: QrLink): Promise<string | undefined> {
  if (!memberId) return undefined
  const member = await db.member.findUnique({ where: { id: memberId }, select: { name: true } })
  const [first] = [...(member?.name ?? '')]
  return first && `${first}…`
}

/** Binds the phone. A tap leads straight to the upstream, as its app wants it, or to the sign-in first. */
async function join(deps: LinkDeps, ctx: HttpContext, link: QrLink): Promise<void> {
  if (link.phone) return seeOther(ctx, pathOf(link))
  if (link.ended) return show(deps, ctx, link)
  await getUsableConnection(deps.db, link.connectionId)
  const browser = linkBrowser(ctx)
  const { locale, now } = ctx.state
  const transaction = await deps.transactions.start({
    ...trailOf(link),
    ...{ browser, locale, purpose: 'link', forceSignIn: false },
    returnTo: `${deps.issuer}${pathOf(link)}`,
    held: { at: pathOf(link), from: link.agreesOn === 'screen' ? 'start' : 'proof' },
  })
  const phone = { browser, transactionId: transaction.id }
  try {
    await changeQr(deps.store, link, { phone })
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'transaction_over') throw error
    await deps.transactions.burn(transaction, 'declined')
    // Another tab of this phone, or another phone, was first: which of them, the page says.
    return show(deps, ctx, await scanned(deps, ctx, link.token))
  }
  if (link.agreesOn === 'screen') return sendToUpstream(deps, ctx, transaction)
  await recordEvent(deps.db, { type: 'link.started', data: trailOf(link) }, now)
  seeOther(ctx, `/link/${transaction.id}`)
}

async function prove(deps: LinkDeps, ctx: HttpContext, link: QrLink): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  if (progress.step !== 'to_prove' || link.agreesOn !== 'screen') return seeOther(ctx, pathOf(link))
  return sendToUpstream(deps, ctx, progress.transaction)
}

/** Only now there is a code: who forwards what a screen shows has none to send along. */
async function confirm(deps: LinkDeps, ctx: HttpContext, link: QrLink): Promise<void> {
  const progress = await progressOf(deps.transactions, link)
  if (progress.step === 'to_confirm') await changeQr(deps.store, link, { code: deps.random.digits(6) })
  seeOther(ctx, pathOf(link))
}
