import Router from '@koa/router'
import { z } from 'zod'
import { getUsableConnection, listConnections, presentConnection } from '../../connections/connection.ts'
import { provesAfresh } from '../../connections/kinds.ts'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter, readForm } from '../../http/input.ts'
import { sourceOf } from '../../http/rate-limit.ts'
import { render } from '../../http/render.ts'
import { seeOther } from '../../http/signed-in.ts'
import { signInWithPassword } from '../../members/authentication.ts'
import { emailAddress } from '../../members/contact-point.ts'
import { Problem } from '../../problem.ts'
import { sendToUpstream } from '../upstream-trip.ts'
import { keepOwnerProof, ownerStep } from './owner-proof.ts'
import { type ConflictDeps, presentAccount } from './page.ts'
import { conflictPath, requireRecent, type Visit, visitConflict } from './visit.ts'

const credentials = z.object({
  email: emailAddress,
  password: z.string({ error: 'required' }).min(1, 'required').max(1024, 'password_too_long'),
})

/**
 * Signing in to the member who holds the account, for one conflict and nothing else: no session begins and the
 * claimant's goes on. Every connection that signs in and can ask anew is offered, so that nothing is learned of the owner's.
 */
export function ownerSignInRoutes(deps: ConflictDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/link/:id/owner' })
  const visit = (ctx: VisitContext, answer: (visit: Visit) => Promise<void>) =>
    visitConflict(deps, ctx, async (one) => {
      if (!mayProve(one)) return seeOther(ctx, conflictPath(one.transaction))
      if (requireRecent(deps, one)) await answer(one)
    })
  router.get('/', (ctx) => visit(ctx, (one) => showSignIn(deps, one)))
  router.post('/', (ctx) => visit(ctx, (one) => signIn(deps, one)))
  router.post('/connections/:connection', (ctx) =>
    visit(ctx, (one) => leaveFor(deps, one, String(ctx.params.connection))),
  )
  return router
}

/** Where nothing is proved yet, and a sign-in would prove it. */
function mayProve({ situation: { proof } }: Visit): boolean {
  return !proof.proved && proof.reason !== 'owner_unavailable'
}

type VisitContext = Parameters<typeof visitConflict>[1]

interface Again {
  values?: Record<string, string>
  fields?: Record<string, string>
  formError?: string
  formErrorParams?: Record<string, string>
}

async function showSignIn(deps: ConflictDeps, visit: Visit, again: Again = {}): Promise<void> {
  const { ctx, transaction, situation } = visit
  const connections = (await listConnections(deps.db, { withDisabled: false })).filter(
    (connection) => connection.allowSignIn && provesAfresh(connection),
  )
  const shown = connections.map((connection) => presentConnection(connection, ctx.state.locale))
  render(ctx, 'linking/owner-sign-in', {
    ...presentAccount(ctx, transaction, situation),
    ...{ connections: shown, values: {}, fields: {} },
    ...noticeOf(ctx, shown),
    ...again,
  })
}

/** How a trip ended that did not prove what it should have. */
const notices = new Set(['connection_cancelled', 'upstream_failed', 'not_the_owner'])

function noticeOf(ctx: HttpContext, connections: readonly { id: string; name: string }[]): Again {
  const notice = queryParameter(ctx, 'notice')
  const id = queryParameter(ctx, 'connection')
  const about = connections.find((connection) => connection.id === id)
  return notice && notices.has(notice) && about
    ? { formError: notice, formErrorParams: { name: about.name } }
    : {}
}

async function signIn(deps: ConflictDeps, visit: Visit): Promise<void> {
  const { ctx, situation } = visit
  const refuse = (again: Again) => {
    ctx.status = 422
    return showSignIn(deps, visit, again)
  }
  const form = readForm(ctx, credentials)
  if (!form.ok) return refuse({ values: form.values, fields: form.fields })
  const { email, password } = form.data
  const verdict = await signInWithPassword(deps, { email, password, source: sourceOf(ctx.ip) }, ctx.state.now)
  if (verdict.outcome === 'suspended') throw new Problem('account_unavailable')
  if (verdict.outcome === 'wrong_credentials')
    return refuse({ values: { email }, formError: 'wrong_credentials' })
  if (verdict.signIn.memberId !== situation.contest.ownerId)
    return refuse({ values: { email }, formError: 'not_the_owner' })
  await keepOwnerProof(deps, visit.transaction, situation.contest, verdict.signIn, ctx.state.now)
  seeOther(ctx, conflictPath(visit.transaction))
}

async function leaveFor(deps: ConflictDeps, { ctx, transaction }: Visit, id: string): Promise<void> {
  const connection = await getUsableConnection(deps.db, id)
  if (!connection.allowSignIn || !provesAfresh(connection)) throw new Problem('connection_unavailable')
  await sendToUpstream(deps, ctx, transaction, { connectionId: connection.id, step: ownerStep })
}
