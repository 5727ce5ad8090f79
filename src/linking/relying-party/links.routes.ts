import Router from '@koa/router'
import { z } from 'zod'
import type { HttpContext, HttpState } from '../../http/context.ts'
import { queryParameter } from '../../http/input.ts'
import { type Budget, sourceOf, spend } from '../../http/rate-limit.ts'
import { isClaimInMetadata } from '../../oidc/account.ts'
import { type ApiAccess, apiScopes } from '../../oidc/api.ts'
import { subjectsOf } from '../../oidc/client-subjects.ts'
import { discloseLinks } from '../../oidc/disclosure.ts'
import { sectorIn, type Viewer } from '../../oidc/sector.ts'
import { memberKnownAs } from '../../oidc/subject.ts'
import { Problem } from '../../problem.ts'
import type { LinkDeps } from '../link.routes.ts'
import { findReader, type LinkListing, type LinkReader, type ListedLink, listLinks } from './list-links.ts'

const bySource: Budget = { name: 'api-source', limit: 1200, windowSeconds: 60 }
const byClient: Budget = { name: 'link-list', limit: 600, windowSeconds: 60 }

/** What a link that is being made at this moment may be late by. Seconds. */
const overlapSeconds = 60

const query = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(1000).optional(),
  sub: z.string().min(1).max(255).optional(),
  since: z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text))
    .optional(),
})
type Query = z.output<typeof query>

interface Deps extends Pick<LinkDeps, 'db' | 'store' | 'random' | 'issuer' | 'vault'> {
  access: ApiAccess
}

/** What a relying party's own program may read of the links of its members. */
export function linkListRoutes(deps: Deps): Router<HttpState> {
  const router = new Router<HttpState>({ prefix: '/api/links' })
  router.get('/', (ctx) => list(deps, ctx))
  return router
}

async function list(deps: Deps, ctx: HttpContext): Promise<void> {
  const { db, store } = deps
  await spend(store, bySource, sourceOf(ctx.ip))
  const clientId = await deps.access.clientOf(ctx, apiScopes.read)
  await spend(store, byClient, clientId)
  const reader = await findReader(db, clientId)
  const asked = readQuery(ctx)
  const { now } = ctx.state
  const viewer = { clientId: clientId, sector: sectorIn(reader.metadata) }
  const memberId = asked.sub === undefined ? undefined : await memberKnownAs(db, viewer, asked.sub)
  const context = cursorContext(reader, asked)
  const after = asked.cursor === undefined ? undefined : openCursor(deps, asked.cursor, context)
  const { since, limit } = asked
  const isNobody = asked.sub !== undefined && memberId === undefined
  const found =
    isNobody || !isClaimInMetadata(reader.metadata, 'linked_accounts')
      ? []
      : await listLinks(db, reader, { memberId, since, after, limit: limit + 1 }, now)
  const page = found.slice(0, limit)
  const last = found.length > limit ? page.at(-1) : undefined
  ctx.body = {
    links: await present(deps, viewer, page, now),
    next_cursor: last ? sealCursor(deps, last, context) : null,
    as_of: new Date(now.getTime() - overlapSeconds * 1000).toISOString(),
  }
}

/** @throws Problem invalid_input */
function readQuery(ctx: HttpContext): Query {
  const names = Object.keys(query.shape)
  const given = names.flatMap((name) => {
    const value = queryParameter(ctx, name)
    return value === undefined ? [] : [[name, value]]
  })
  const parsed = query.safeParse(Object.fromEntries(given))
  if (parsed.success) return parsed.data
  throw new Problem('invalid_input', {
    fields: Object.fromEntries(parsed.error.issues.map(({ path, message }) => [String(path[0]), message])),
  })
}

async function present(deps: Deps, viewer: Viewer, links: readonly ListedLink[], now: Date) {
  const disclosure = { ...deps, now: () => now }
  const memberIds = [...new Set(links.map(({ memberId }) => memberId))]
  const [subjects, disclosed] = await Promise.all([
    subjectsOf(disclosure, viewer, memberIds),
    discloseLinks(
      disclosure,
      viewer,
      links.map(({ settings, ...link }) => ({ ...link, connection: { settings } })),
    ),
  ])
  return disclosed.map((link, position) => {
    const { memberId, endedAt } = links[position] ?? {}
    return {
      sub: subjects.get(memberId ?? ''),
      ...link,
      ...(endedAt && { status: 'unlinked', unlinked_at: endedAt.toISOString() }),
    }
  })
}

type Position = NonNullable<LinkListing['after']>
const position = z.object({ memberId: z.uuid(), id: z.uuid() })

/** A cursor goes on with the list it came from: this client's, with these parameters. */
const cursorContext = ({ id }: LinkReader, { sub, since }: Query) =>
  `link list cursor ${JSON.stringify([id, sub, since])}`

const sealCursor = ({ vault }: Deps, { memberId, id }: Position, context: string) =>
  Buffer.from(vault.sealer.seal(JSON.stringify({ memberId, id }), context)).toString('base64url')

function openCursor({ vault }: Deps, cursor: string, context: string): Position {
  try {
    const sealed = Buffer.from(cursor, 'base64url').toString()
    return position.parse(JSON.parse(vault.sealer.open(sealed, context)))
  } catch (cause) {
    throw new Problem('invalid_input', { fields: { cursor: 'unknown' }, cause })
  }
}
