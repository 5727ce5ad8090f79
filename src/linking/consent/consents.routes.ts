import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection, presentConnection } from '../../connections/connection.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { render } from '../../http/render.ts'
import { requireSession, type SignInUrl, seeOther, sessionOf } from '../../http/signed-in.ts'
import { clientName } from '../../oidc/clients/client.ts'
import { Problem } from '../../problem.ts'
import { equalInConstantTime } from '../../security/digest.ts'
import type { Db } from '../../store/db.ts'
import { findIdentity, profileOf } from '../identity.ts'
import { consentDigest, consentText } from '../link-consent.ts'
import { type Evidence, findEvidence, listEvidence } from './evidence.ts'
import { placeOf } from './place.ts'
import { renewConsent } from './renew.ts'

export interface ConsentDeps {
  db: Db
  signInUrl: SignInUrl
  termsVersion: string
}

const agreement = z.object({ shown: z.string().max(100) })

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
  const evidence = await getOwn(deps, ctx, id)
  const current = await currentAgreement(deps, ctx, evidence)
  // Renewed in another tab, or unlinked: the list says what there is now.
  if (!current) return seeOther(ctx, '/account/consents')
  const { text, connection } = current
  render(ctx, 'linking/renew-consent', {
    consentId: evidence.id,
    connection: presentConnection(connection, ctx.state.locale),
    reason: evidence.state === 'expired' ? 'expired' : (evidence.reconsentReason ?? 'data_changed'),
    agreedBefore: evidence,
    text,
    shown: consentDigest(text),
  })
}

async function renew(deps: ConsentDeps, ctx: HttpContext, id: string): Promise<void> {
  const { memberId } = sessionOf(ctx)
  const { shown } = requireForm(ctx, agreement)
  const evidence = await getOwn(deps, ctx, id)
  const current = await currentAgreement(deps, ctx, evidence)
  if (!current) return seeOther(ctx, '/account/consents')
  const { text, identity, identityId } = current
  // What changed since the page was shown has not been agreed to.
  if (!equalInConstantTime(shown, consentDigest(text))) return showRenewal(deps, ctx, id)
  const given = { memberId, identity, consent: text, way: 'account_page', place: placeOf(ctx) } as const
  try {
    await renewConsent(deps.db, { consentId: id, identityId }, given, ctx.state.now)
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'link_not_found') throw error
    return seeOther(ctx, '/account/consents')
  }
  seeOther(ctx, '/account/consents?renewed=1')
}

/** What an agreement would say now; undefined when there is no link left that it is for, or it has ended. */
async function currentAgreement({ db, termsVersion }: ConsentDeps, ctx: HttpContext, evidence: Evidence) {
  const { memberId, connectionId, issuer, subject, state } = evidence
  const linked = await findIdentity(db, { issuer, subject })
  if (linked?.memberId !== memberId || state === 'ended') return undefined
  const connection = await getUsableConnection(db, connectionId)
  const { locale, now } = ctx.state
  const identity = { connectionId, issuer, subject, profile: profileOf(linked.profile) }
  const text = await consentText(db, { connection, identity, termsVersion, locale }, now)
  return { connection, identity, identityId: linked.id, text }
}

async function getOwn({ db }: ConsentDeps, ctx: HttpContext, id: string): Promise<Evidence> {
  const evidence = await findEvidence(db, { id, memberId: sessionOf(ctx).memberId }, ctx.state.now)
  if (!evidence) throw new Problem('not_found')
  return evidence
}
