import type Router from '@koa/router'
import { z } from 'zod'
import type { HttpContext, HttpState } from '../http/context.ts'
import { localizedName } from '../http/i18n.ts'
import { render } from '../http/render.ts'
import { seeOther } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import { Problem } from '../problem.ts'
import {
  type Interaction,
  type InteractionDeps,
  loadInteraction,
  presentClient,
  submit,
} from './interaction.ts'

/** Asking the member what a relying party may have. */
export function consentStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/consent', async (ctx) => showConsent(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/consent', async (ctx) => consent(deps, ctx, await loadInteraction(deps, ctx)))
}

const missing = z.object({
  missingOIDCScope: z.array(z.string()).default([]),
  missingOIDCClaims: z.array(z.string()).default([]),
})

const links = z.object({
  client_uri: z.string().optional(),
  policy_uri: z.string().optional(),
  tos_uri: z.string().optional(),
})

async function showConsent(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { details, uid } = interaction
  const { accountId, clientId } = parties(interaction)
  const [member, email, client, row] = await Promise.all([
    deps.db.member.findUniqueOrThrow({ where: { id: accountId } }),
    primaryEmail(deps.db, accountId),
    presentClient(deps, ctx, interaction),
    deps.db.client.findUnique({
      where: { id: clientId },
      include: { connections: { include: { connection: true } } },
    }),
  ])
  if (!row || !client) throw new Problem('interaction_over')
  const { missingOIDCScope } = missing.parse(details.prompt.details)
  const asked = String(details.params.scope).split(' ')
  const { client_uri: uri, policy_uri: policyUri, tos_uri: tosUri } = links.parse(row.metadata)
  const names = row.connections.map(
    ({ connection }) => localizedName.parse(connection.name)[ctx.state.locale],
  )
  render(ctx, 'interaction/consent', {
    uid,
    client: { ...client, uri, policyUri, tosUri },
    member: { name: member.name, email },
    scopes: asked.map((name) => ({ name, isNew: missingOIDCScope.includes(name) })),
    connections: asked.includes('linked_accounts') ? names : [],
  })
}

/** Adds what was asked to what this member allowed this client before; the event is written with the grant. */
async function consent(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { details } = interaction
  const { accountId, clientId } = parties(interaction)
  const { Grant } = deps.provider()
  const known = details.grantId ? await Grant.find(details.grantId) : undefined
  const grant = known ?? new Grant({ accountId, clientId })
  const { missingOIDCScope, missingOIDCClaims } = missing.parse(details.prompt.details)
  if (missingOIDCScope.length > 0) grant.addOIDCScope(missingOIDCScope.join(' '))
  if (missingOIDCClaims.length > 0) grant.addOIDCClaims(missingOIDCClaims)
  const grantId = await grant.save()
  seeOther(ctx, await submit(deps, ctx, { consent: { grantId } }))
}

function parties({ details }: Interaction): { accountId: string; clientId: string } {
  const accountId = details.session?.accountId
  if (details.prompt.name !== 'consent' || !accountId) throw new Problem('interaction_over')
  return { accountId, clientId: String(details.params.client_id) }
}
