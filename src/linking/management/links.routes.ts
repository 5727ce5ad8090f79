import Router from '@koa/router'
import { z } from 'zod'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { requireForm } from '../../http/input.ts'
import { type Budget, spend } from '../../http/rate-limit.ts'
import { lockMember } from '../../members/member.ts'
import { type ApiAccess, apiScopes } from '../../oidc/api.ts'
import { Problem } from '../../problem.ts'
import { type Db, inTransaction } from '../../store/db.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { FederatedIdentity } from '../../store/generated/client.ts'
import { isRowId } from '../../store/row-id.ts'
import { profileOf } from '../identity.ts'
import type { TokenVault } from '../tokens/token-vault.ts'
import { endLink } from '../unlink/end-link.ts'
import { isLastSignInMethod } from '../unlink/unlink.ts'
import { addStatedLink, type StatedLink, type StatedOutcome, statedLink } from './add-link.ts'

export interface ManagementDeps {
  db: Db
  store: Ephemeral
  vault: TokenVault
  coolOffDays: number
  access: ApiAccess
}

const calls: Budget = { name: 'links-management', limit: 30_000, windowSeconds: 600 }

/** What is sent to make a link. What is not said here is not taken. */
const newLink = z
  .strictObject({
    member: z.uuid(),
    connection: z.string().max(40),
    subject: statedLink.shape.subject,
    name: statedLink.shape.name,
    email: statedLink.shape.email,
    agreed_at: z.iso.datetime({ offset: true }),
    terms_version: statedLink.shape.termsVersion,
    statement: statedLink.shape.statement,
  })
  .transform(
    ({ member, connection, agreed_at: agreedAt, terms_version: termsVersion, ...rest }): StatedLink => ({
      ...rest,
      ...{ memberId: member, connectionId: connection, agreedAt: new Date(agreedAt), termsVersion },
    }),
  )

/** Links as the company's own programs make, read and end them, with a token for the API and the scope `links:manage`. */
export function managementRoutes(deps: ManagementDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/api' })
  router.post('/links', (ctx) => add(deps, ctx))
  router.delete('/links/:id', (ctx) => remove(deps, ctx, String(ctx.params.id)))
  router.get('/members/:id/links', (ctx) => list(deps, ctx, String(ctx.params.id)))
  return router
}

/** @throws Problem invalid_token, insufficient_scope, too_many_requests */
async function managerOf({ access, store }: ManagementDeps, ctx: HttpContext): Promise<string> {
  const clientId = await access.clientOf(ctx, apiScopes.manage)
  await spend(store, calls, clientId)
  return clientId
}

/** The same link stated again is no fault: 200 instead of 201. */
async function add(deps: ManagementDeps, ctx: HttpContext): Promise<void> {
  const clientId = await managerOf(deps, ctx)
  const stated = requireForm(ctx, newLink)
  const outcome = await addStatedLink(deps, stated, { way: 'management', clientId }, ctx.state.now)
  refuseUnlessLinked(outcome)
  const { memberId, connectionId, subject } = stated
  const identity = await deps.db.federatedIdentity.findFirst({ where: { memberId, connectionId, subject } })
  // Unlinked in this very moment.
  if (!identity) throw new Problem('link_not_found')
  ctx.status = outcome === 'linked' ? 201 : 200
  ctx.body = present(identity)
}

function refuseUnlessLinked(outcome: StatedOutcome): void {
  switch (outcome) {
    case 'linked':
    case 'already_linked':
      return
    case 'agreed_in_the_future':
      throw new Problem('invalid_input', { fields: { agreed_at: 'in_the_future' } })
    case 'linked_to_another_member':
      throw new Problem('identity_linked_to_another_member')
    case 'another_identity_linked':
      throw new Problem('already_linked')
    case 'cooling_off':
      throw new Problem('identity_cooling_off')
    default:
      throw new Problem(outcome)
  }
}

/** @throws Problem link_not_found, last_sign_in_method */
async function remove(deps: ManagementDeps, ctx: HttpContext, id: string): Promise<void> {
  await managerOf(deps, ctx)
  const { db, vault, coolOffDays } = deps
  const policy = { sealer: vault.sealer, coolOffDays }
  await inTransaction(db, async (tx) => {
    const found = isRowId(id) ? await tx.federatedIdentity.findUnique({ where: { id } }) : null
    if (found) await lockMember(tx, found.memberId)
    // Read again: it may have gone, or gone to another member, before the member was held.
    const identity =
      found && (await tx.federatedIdentity.findFirst({ where: { id, memberId: found.memberId } }))
    if (!identity) throw new Problem('link_not_found')
    if (await isLastSignInMethod(tx, identity.memberId, id)) throw new Problem('last_sign_in_method')
    await endLink(tx, policy, identity, 'management', ctx.state.now)
  })
  ctx.status = 204
}

async function list(deps: ManagementDeps, ctx: HttpContext, memberId: string): Promise<void> {
  await managerOf(deps, ctx)
  const member = isRowId(memberId) ? await deps.db.member.findUnique({ where: { id: memberId } }) : null
  if (!member) throw new Problem('not_found')
  const identities = await deps.db.federatedIdentity.findMany({
    where: { memberId },
    orderBy: { linkedAt: 'asc' },
  })
  ctx.body = { member: memberId, status: member.status, links: identities.map(present) }
}

function present(identity: FederatedIdentity) {
  const { id, memberId, connectionId, issuer, subject, way, linkedAt, lastUsedAt } = identity
  return {
    ...{ id, member: memberId, connection: connectionId, issuer, subject, way },
    profile: profileOf(identity.profile),
    linked_at: linkedAt.toISOString(),
    last_used_at: lastUsedAt?.toISOString() ?? null,
    status: identity.needsRelinkSince ? 'needs_relink' : 'linked',
  }
}
