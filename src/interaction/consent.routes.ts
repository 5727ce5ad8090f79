import type Router from '@koa/router'
import { errors } from 'oidc-provider'
import { z } from 'zod'
import type { HttpContext, HttpState } from '../http/context.ts'
import { render } from '../http/render.ts'
import { allowImages } from '../http/security-headers.ts'
import { seeOther } from '../http/signed-in.ts'
import { primaryEmail } from '../members/contact-point.ts'
import { findActiveMember } from '../members/member.ts'
import { findRelyingParty } from '../oidc/clients/relying-party.ts'
import { addContent, contentOf, type GrantContent, presentContent } from '../oidc/grant-content.ts'
import { Problem } from '../problem.ts'
import { type Interaction, type InteractionDeps, loadInteraction, submit } from './interaction.ts'

/** Asking the member what a relying party may have. Declining is the interaction's `/cancel`. */
export function consentStep(router: Router<HttpState>, deps: InteractionDeps): void {
  router.get('/consent', async (ctx) => showConsent(deps, ctx, await loadInteraction(deps, ctx)))
  router.post('/consent', async (ctx) => consent(deps, ctx, await loadInteraction(deps, ctx)))
}

/** What the checks of the consent prompt found missing (`prompt-policy.ts`). */
const missing = z.object({
  missingOIDCScope: z.array(z.string()).default([]),
  missingOIDCClaims: z.array(z.string()).default([]),
  missingConnections: z.array(z.string()).default([]),
  missingTokenConnections: z.array(z.string()).default([]),
  missingResourceScopes: z.record(z.string(), z.array(z.string())).default({}),
})

async function showConsent(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { accountId, client, grant } = await parties(deps, ctx, interaction)
  const { locale } = ctx.state
  const [member, email, news, known] = await Promise.all([
    deps.db.member.findUniqueOrThrow({ where: { id: accountId } }),
    primaryEmail(deps.db, accountId),
    presentContent(deps.db, askedOf(interaction), locale),
    grant && presentContent(deps.db, contentOf(grant), locale),
  ])
  allowImages(ctx, [client.logoUri])
  const { name } = member
  render(ctx, 'interaction/consent', { uid: interaction.uid, client, member: { name, email }, news, known })
}

/** Adds what was on the page to what this member allowed this client before; the event is written with the grant. */
async function consent(deps: InteractionDeps, ctx: HttpContext, interaction: Interaction): Promise<void> {
  const { accountId, client, grant: known } = await parties(deps, ctx, interaction)
  const { Grant } = deps.provider()
  const grant = known ?? new Grant({ accountId, clientId: client.id })
  const isMore = addContent(grant, askedOf(interaction))
  if (known && !isMore) return seeOther(ctx, await submit(deps, ctx, { consent: { grantId: known.jti } }))
  const grantId = await grant.save().catch((error: unknown) => {
    // Revoked while the page was open: the relying party has to ask for everything again.
    throw error instanceof errors.AccessDenied ? new Problem('interaction_over', { cause: error }) : error
  })
  seeOther(ctx, await submit(deps, ctx, { consent: { grantId } }))
}

function askedOf({ details }: Interaction): GrantContent {
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes, ...connections } = missing.parse(
    details.prompt.details,
  )
  return {
    scopes: missingOIDCScope,
    claims: missingOIDCClaims,
    connections: connections.missingConnections,
    tokenConnections: connections.missingTokenConnections,
    resources: Object.entries(missingResourceScopes).map(([id, scopes]) => ({ id, scopes })),
  }
}

/** Who is asked, by whom, and what was allowed before. Both must still be there when it comes to an answer. */
async function parties(deps: InteractionDeps, ctx: HttpContext, { details }: Interaction) {
  const accountId = details.session?.accountId
  if (details.prompt.name !== 'consent' || !accountId) throw new Problem('interaction_over')
  const [member, client, grant] = await Promise.all([
    findActiveMember(deps.db, accountId),
    findRelyingParty(deps.db, String(details.params.client_id), ctx.state.locale),
    details.grantId ? deps.provider().Grant.find(details.grantId) : undefined,
  ])
  if (!member) throw new Problem('account_unavailable')
  if (!client) throw new Problem('client_unavailable')
  return { accountId, client, grant }
}
