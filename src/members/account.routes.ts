import Router from '@koa/router'
import { z } from 'zod'
import { recordEvent } from '../events/outbox.ts'
import type { HttpContext, HttpState } from '../http/context.ts'
import { queryParameter, readForm } from '../http/input.ts'
import { sourceOf, spend } from '../http/rate-limit.ts'
import { render } from '../http/render.ts'
import { isRecent, requireSession, type SignInUrl, seeOther, sessionOf } from '../http/signed-in.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { primaryEmail } from './contact-point.ts'
import { findPasswordFault, type PasswordHasher } from './credentials/password.ts'
import { endSessions } from './member.ts'
import { setPassword } from './password.ts'
import { displayName, newPassword } from './registration-form.ts'

export interface AccountDeps {
  db: Db
  store: Ephemeral
  hasher: PasswordHasher
  signInUrl: SignInUrl
  passwordMinLength: number
  recentSeconds: number
}

const profileForm = z.object({ name: displayName })
/** What has just happened; it ends the session, so it is told after the next sign-in. */
const securityNotices = new Set(['password_changed', 'signed_out_everywhere'])
const passwordForm = z.object({ currentPassword: z.string().max(1024).optional(), newPassword })

/** The member's own pages: profile and security. */
export function memberAccountRoutes(deps: AccountDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account' })
  router.use(requireSession(deps.signInUrl))
  router.get('/profile', (ctx) => showProfile(deps, ctx))
  router.post('/profile', (ctx) => saveProfile(deps, ctx))
  router.get('/security', (ctx) => showSecurity(deps, ctx))
  router.post('/password', (ctx) => changePassword(deps, ctx))
  router.post('/sign-out-everywhere', async (ctx) => {
    await inTransaction(deps.db, (tx) => endSessions(tx, sessionOf(ctx).memberId, 'member', ctx.state.now))
    seeOther(ctx, '/account/security?notice=signed_out_everywhere')
  })
  return router
}

async function showProfile(
  { db }: AccountDeps,
  ctx: HttpContext,
  again: { values?: object; fields?: object; flash?: string } = {},
) {
  const { memberId } = sessionOf(ctx)
  const [member, email] = await Promise.all([
    db.member.findUniqueOrThrow({ where: { id: memberId } }),
    primaryEmail(db, memberId),
  ])
  const flash = ctx.query.saved === '1' ? 'profile_saved' : undefined
  render(ctx, 'members/profile', { values: { name: member.name }, fields: {}, email, flash, ...again })
}

async function saveProfile(deps: AccountDeps, ctx: HttpContext) {
  const form = readForm(ctx, profileForm)
  if (!form.ok) {
    ctx.status = 422
    return showProfile(deps, ctx, { values: form.values, fields: form.fields })
  }
  const { memberId } = sessionOf(ctx)
  await inTransaction(deps.db, async (tx) => {
    await tx.member.update({
      where: { id: memberId },
      data: { name: form.data.name, updatedAt: ctx.state.now },
    })
    await recordEvent(
      tx,
      { type: 'member.profile_changed', memberId, data: { claims: ['name'] } },
      ctx.state.now,
    )
  })
  seeOther(ctx, '/account/profile?saved=1')
}

async function showSecurity({ db, passwordMinLength }: AccountDeps, ctx: HttpContext, fields: object = {}) {
  const { memberId } = sessionOf(ctx)
  const notice = queryParameter(ctx, 'notice')
  const [password, email] = await Promise.all([
    db.passwordCredential.findUnique({ where: { memberId } }),
    primaryEmail(db, memberId),
  ])
  render(ctx, 'members/security', {
    hasPassword: password !== null,
    email,
    fields,
    minLength: passwordMinLength,
    ...(notice && securityNotices.has(notice) && { flash: notice }),
  })
}

/** Asks for the current password, or, where there is none yet, for a recent sign-in (OWASP ASVS 7.5.1). */
async function changePassword(deps: AccountDeps, ctx: HttpContext) {
  const { db, store, hasher, passwordMinLength: minLength } = deps
  const session = sessionOf(ctx)
  const refuse = (fields: object) => {
    ctx.status = 422
    return showSecurity(deps, ctx, fields)
  }
  const form = readForm(ctx, passwordForm)
  if (!form.ok) return refuse(form.fields)

  const [member, email, stored] = await Promise.all([
    db.member.findUniqueOrThrow({ where: { id: session.memberId } }),
    primaryEmail(db, session.memberId),
    db.passwordCredential.findUnique({ where: { memberId: session.memberId } }),
  ])
  const { currentPassword, newPassword: password } = form.data
  if (stored) {
    await spend(
      store,
      { name: 'password-change', limit: 10, windowSeconds: 900 },
      `${session.memberId}|${sourceOf(ctx.ip)}`,
    )
    if (!(await hasher.verify(stored.hash, currentPassword ?? '')))
      return refuse({ currentPassword: 'password_wrong' })
  } else if (!isRecent(session, deps.recentSeconds, ctx.state.now)) {
    return seeOther(ctx, deps.signInUrl('/account/security', 'afresh'))
  }
  const fault = findPasswordFault(password, minLength, [
    email ?? '',
    member.name ?? '',
    ctx.state.site.serviceName,
  ])
  if (fault) return refuse({ newPassword: { key: fault, params: { min: minLength } } })
  const changed = await setPassword(
    deps,
    { memberId: session.memberId, password, expectedHash: stored?.hash, by: 'member' },
    ctx.state.now,
  )
  if (!changed) return refuse({ currentPassword: 'password_wrong' })
  seeOther(ctx, '/account/security?notice=password_changed')
}
