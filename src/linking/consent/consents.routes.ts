import Router from '@koa/router'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { render } from '../../http/render.ts'
import { requireSession, type SignInUrl, seeOther, sessionOf } from '../../http/signed-in.ts'
import { clientName } from '../../oidc/clients/client.ts'
import { Problem } from '../../problem.ts'
import { type Evidence, findEvidence, listEvidence } from './evidence.ts'
import { agreeAnew, findRenewal, type RenewalDeps, renderRenewal } from './renewal-page.ts'

export interface ConsentDeps extends RenewalDeps {
  signInUrl: SignInUrl
}

/** Where a member reads every agreement to link they ever gave, as it was shown, and gives one anew. */
export function consentRoutes(deps: ConsentDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account/consents' })
  router.use(requireSession(deps.signInUrl))
  router.get('/', (ctx) => showAll(deps, ctx))
  router.get('/:id', (ctx) => showOne(deps, ctx, String(ctx.params.id)))
  router.get('/:id/renew', (ctx) => showRenewal(deps, ctx, String(ctx.params.id)))
  router.post('/:id/renew', (ctx) => renew(deps, ctx, String(ctx.params.id)))
  return router
}

async function showAll({ db }: ConsentDeps, ctx: HttpContext): Promise<void> {
  const consents = await listEvidence(db, sessionOf(ctx).memberId, ctx.state.now)
  const flash = ctx.query.renewed === '1' ? { flash: 'consent_renewed' } : {}
  render(ctx, 'linking/consents', { consents: consents.map(summary), ...flash })
}

const summary = ({ id, shown, agreedAt, state }: Evidence) => ({
  ...{ id, agreedAt, state, connection: shown.connection },
  account: shown.account ?? undefined,
})

async function showOne(deps: ConsentDeps, ctx: HttpContext, id: string): Promise<void> {
  const evidence = await getOwn(deps, ctx, id)
  const { clientId } = evidence
  const client = clientId ? ((await clientName(deps.db, clientId, ctx.state.locale)) ?? clientId) : undefined
  render(ctx, 'linking/consent', { consent: evidence, client })
}

async function showRenewal(deps: ConsentDeps, ctx: HttpContext, id: string): Promise<void> {
  const renewal = await findRenewal(deps, ctx, { id, memberId: sessionOf(ctx).memberId })
  // Renewed in another tab, or unlinked: the list says what there is now.
  if (!renewal) return seeOther(ctx, '/account/consents')
  renderRenewal(ctx, renewal, { agreeUrl: `/account/consents/${id}/renew`, laterUrl: '/account' })
}

async function renew(deps: ConsentDeps, ctx: HttpContext, id: string): Promise<void> {
  const outcome = await agreeAnew(deps, ctx, { id, memberId: sessionOf(ctx).memberId })
  if (outcome === 'changed') return showRenewal(deps, ctx, id)
  seeOther(ctx, `/account/consents${outcome === 'renewed' ? '?renewed=1' : ''}`)
}

async function getOwn({ db }: ConsentDeps, ctx: HttpContext, id: string): Promise<Evidence> {
  const evidence = await findEvidence(db, { id, memberId: sessionOf(ctx).memberId }, ctx.state.now)
  if (!evidence) throw new Problem('not_found')
  return evidence
}
