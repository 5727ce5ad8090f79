import type { Client, Provider } from 'oidc-provider'
import { type Locale, localizedName } from '../http/i18n.ts'
import type { Tx } from '../store/db.ts'
import { scopeClaims } from './scope-claims.ts'

type Grant = Pick<
  InstanceType<Provider['Grant']>,
  | 'openid'
  | 'resources'
  | 'addOIDCScope'
  | 'addOIDCClaims'
  | 'addResourceScope'
  | 'getOIDCScopeEncountered'
  | 'getOIDCClaimsEncountered'
  | 'getResourceScopeEncountered'
>

/** Being handed the access tokens of linked upstreams; it stands for no claim. */
export const upstreamTokensScope = 'upstream_tokens'

/** What a client may have of a member, by the names it has on the wire. */
export interface GrantContent {
  scopes: string[]
  /** Claims that were asked for by name, whatever the scopes. */
  claims: string[]
  /** Connections whose linked accounts it may see. */
  connections: string[]
  /** Connections whose access tokens it is handed. */
  tokenConnections: string[]
  resources: { id: string; scopes: string[] }[]
}

/**
 * Where a grant keeps the connections that were named when the member agreed: the engine stores them with the rest, as
 * scopes of a resource that no client can ask for, because none is registered under this name.
 */
const linkedAccounts = 'urn:hitotsu:linked-accounts'
const upstreamTokens = 'urn:hitotsu:upstream-tokens'
const ours = [linkedAccounts, upstreamTokens]

/** What is in a grant, or in a grant's stored payload. */
export function contentOf({ openid, resources = {} }: Pick<Grant, 'openid' | 'resources'>): GrantContent {
  return {
    scopes: words(openid?.scope),
    claims: openid?.claims ?? [],
    connections: words(resources[linkedAccounts]),
    tokenConnections: words(resources[upstreamTokens]),
    resources: Object.entries(resources)
      .filter(([id]) => !ours.includes(id))
      .map(([id, scopes]) => ({ id, scopes: words(scopes) })),
  }
}

/** Adds what is not in the grant yet. False when that was nothing; what was added is kept once the grant is saved. */
export function addContent(grant: Grant, more: Partial<GrantContent>): boolean {
  const scopes = except(more.scopes, words(grant.getOIDCScopeEncountered()))
  const claims = except(more.claims, grant.getOIDCClaimsEncountered())
  const connections = { id: linkedAccounts, scopes: more.connections ?? [] }
  const tokenConnections = { id: upstreamTokens, scopes: more.tokenConnections ?? [] }
  const resources = [connections, tokenConnections, ...(more.resources ?? [])]
    .map(({ id, scopes }) => ({ id, scopes: except(scopes, words(grant.getResourceScopeEncountered(id))) }))
    .filter((resource) => resource.scopes.length > 0)
  if (scopes.length > 0) grant.addOIDCScope(scopes)
  if (claims.length > 0) grant.addOIDCClaims(claims)
  for (const resource of resources) grant.addResourceScope(resource.id, resource.scopes)
  return scopes.length + claims.length + resources.length > 0
}

/** The claims these scopes stand for. */
export function claimsOf(scopes: readonly string[]): Set<string> {
  const known: Record<string, readonly string[]> = scopeClaims
  return new Set(scopes.flatMap((scope) => known[scope] ?? []))
}

/** A grant's content as a page says it: names where there are any, and nothing twice. */
export interface PresentedContent {
  scopes: string[]
  claims: string[]
  connections: string[]
  tokenConnections: string[]
  resources: { name: string; scopes: string[] }[]
}

export async function presentContent(
  tx: Tx,
  { scopes, claims, connections, tokenConnections, resources }: GrantContent,
  locale: Locale,
): Promise<PresentedContent> {
  const [usable, registered] = await Promise.all([
    tx.connection.findMany({
      where: { id: { in: [...connections, ...tokenConnections] }, disabledAt: null },
      orderBy: { createdAt: 'asc' },
    }),
    tx.resource.findMany({ where: { id: { in: resources.map(({ id }) => id) } } }),
  ])
  const names = new Map(registered.map(({ id, name }) => [id, localizedName.parse(name)[locale]]))
  const covered = claimsOf(scopes)
  const namesOf = (ids: readonly string[]) =>
    usable.filter(({ id }) => ids.includes(id)).map(({ name }) => localizedName.parse(name)[locale])
  const seesLinks = usable.some(({ id }) => connections.includes(id)) || claims.includes('linked_accounts')
  return {
    scopes: shownScopes(scopes, seesLinks, namesOf(tokenConnections).length > 0),
    claims: claims.filter((claim) => !covered.has(claim) && claim !== 'linked_accounts'),
    connections: namesOf(connections),
    tokenConnections: namesOf(tokenConnections),
    resources: resources.map(({ id, scopes: of }) => ({ name: names.get(id) ?? id, scopes: of })),
  }
}

/** What hangs on a scope is shown under it, also where the scope itself was allowed before. */
function shownScopes(scopes: readonly string[], seesLinks: boolean, isHandedTokens: boolean): string[] {
  const implied = [
    ...(seesLinks ? ['linked_accounts'] : []),
    ...(isHandedTokens ? [upstreamTokensScope] : []),
  ]
  return [...scopes, ...except(implied, scopes)]
}

function except(all: readonly string[] = [], some: readonly string[]): string[] {
  return all.filter((name) => !some.includes(name))
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(' ').filter(Boolean)
}

/** The connections an administrator lets a client be handed tokens of. */
export function tokenConnectionsOf({ token_connections: ids }: Client): string[] {
  return Array.isArray(ids) ? ids : []
}
