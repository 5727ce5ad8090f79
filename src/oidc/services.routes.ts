import Router from '@koa/router'
import type { HttpContext, HttpState } from '../http/context.ts'
import type { Locale } from '../http/i18n.ts'
import { queryParameter } from '../http/input.ts'
import { render } from '../http/render.ts'
import { allowImages } from '../http/security-headers.ts'
import { requireSession, type SignInUrl, seeOther, sessionOf } from '../http/signed-in.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction } from '../store/db.ts'
import { presentRelyingParty, type RelyingParty } from './clients/relying-party.ts'
import { revokeGrants } from './grant.ts'
import { contentOf, type GrantContent, type PresentedContent, presentContent } from './grant-content.ts'

export interface ServiceDeps {
  db: Db
  signInUrl: SignInUrl
}

/** A relying party as its member sees it, whatever the number of grants. */
interface Service {
  party: RelyingParty
  since: Date
  lastUsedAt: Date | undefined
  content: PresentedContent
}

/**
 * Where a member sees which relying parties they gave something to, and takes it back. Taking back needs no fresh proof:
 * it gives nobody anything.
 */
export function serviceRoutes(deps: ServiceDeps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/account/services' })
  router.use(requireSession(deps.signInUrl))
  router.get('/', (ctx) => showServices(deps, ctx))
  router.get('/stop', async (ctx) => {
    const services = await listServices(deps.db, ctx)
    if (services.length === 0) return seeOther(ctx, '/account/services')
    render(ctx, 'oidc/stop-services', { services })
  })
  router.post('/stop', (ctx) => stop(deps, ctx))
  router.get('/:id/stop', async (ctx) => {
    const services = await listServices(deps.db, ctx)
    const service = services.find(({ party }) => party.id === ctx.params.id)
    if (!service) throw new Problem('not_found')
    show(ctx, 'oidc/stop-service', [service], { ...service })
  })
  router.post('/:id/stop', (ctx) => stop(deps, ctx, String(ctx.params.id)))
  return router
}

/** A page with what a client says of itself, its logo too. */
function show(
  ctx: HttpContext,
  view: string,
  services: readonly Service[],
  data: Record<string, unknown>,
): void {
  allowImages(
    ctx,
    services.map(({ party }) => party.logoUri),
  )
  render(ctx, view, data)
}

async function showServices({ db }: ServiceDeps, ctx: HttpContext): Promise<void> {
  const [services, stopped] = await Promise.all([
    listServices(db, ctx),
    stoppedParty(db, queryParameter(ctx, 'stopped'), ctx.state.locale),
  ])
  show(ctx, 'oidc/services', services, { services, ...stopped })
}

/** What has just been stopped: one by its name, or all. */
async function stoppedParty(db: Db, stopped: string | undefined, locale: Locale): Promise<object> {
  if (stopped === undefined) return {}
  if (stopped === '') return { flash: 'services_stopped' }
  const row = await db.client.findUnique({ where: { id: stopped } })
  return row ? { flash: 'service_stopped', flashParams: { name: presentRelyingParty(row, locale).name } } : {}
}

/** A second click finds nothing left to stop, and says the same. */
async function stop({ db }: ServiceDeps, ctx: HttpContext, clientId?: string): Promise<void> {
  const { memberId } = sessionOf(ctx)
  await inTransaction(db, (tx) =>
    revokeGrants(tx, { memberId, ...(clientId !== undefined && { clientId }) }, ctx.state.now),
  )
  seeOther(ctx, `/account/services?stopped=${encodeURIComponent(clientId ?? '')}`)
}

/** The one used last comes first. */
async function listServices(db: Db, ctx: HttpContext): Promise<Service[]> {
  const { locale, now } = ctx.state
  const grants = await db.grant.findMany({
    where: {
      memberId: sessionOf(ctx).memberId,
      client: { disabledAt: null },
      OR: [{ expiresAt: null }, { expiresAt: { gt: now } }],
    },
    include: { client: { include: { connections: { where: { discloses: true } } } } },
    orderBy: { createdAt: 'asc' },
  })
  const byClient = Map.groupBy(grants, ({ clientId }) => clientId)
  const services = [...byClient.values()].flatMap((group) => {
    const [first] = group
    if (!first) return []
    const uses = group.flatMap(({ lastUsedAt }) => (lastUsedAt ? [lastUsedAt.getTime()] : []))
    const allowed = first.client.connections.map(({ connectionId }) => connectionId)
    const contents = group.map(({ payload }) => contentOf(payload as Parameters<typeof contentOf>[0]))
    return [
      {
        party: presentRelyingParty(first.client, locale),
        since: first.createdAt,
        lastUsedAt: uses.length > 0 ? new Date(Math.max(...uses)) : undefined,
        content: disclosed(merged(contents), first.client.firstParty, allowed),
      },
    ]
  })
  const presented = services.map(async (service) => ({
    ...service,
    content: await presentContent(db, service.content, locale),
  }))
  return (await Promise.all(presented)).sort((a, b) => recency(b) - recency(a))
}

const recency = ({ since, lastUsedAt }: Service) => (lastUsedAt ?? since).getTime()

function merged(contents: readonly GrantContent[]): GrantContent {
  const all = <K extends 'scopes' | 'claims' | 'connections' | 'tokenConnections'>(key: K) => [
    ...new Set(contents.flatMap((content) => content[key])),
  ]
  return {
    scopes: all('scopes'),
    claims: all('claims'),
    connections: all('connections'),
    tokenConnections: all('tokenConnections'),
    resources: contents.flatMap(({ resources }) => resources),
  }
}

/** Which linked accounts it does see: as when claims are made (`account.ts`). */
function disclosed(content: GrantContent, firstParty: boolean, allowed: readonly string[]): GrantContent {
  const asked = content.scopes.includes('linked_accounts') || content.claims.includes('linked_accounts')
  const agreed = firstParty && asked ? allowed : content.connections
  return { ...content, connections: allowed.filter((id) => agreed.includes(id)) }
}
