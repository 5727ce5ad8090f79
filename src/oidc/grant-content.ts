import type { Provider } from 'oidc-provider'
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

/** What a client may have of a member, by the names it has on the wire. */
export interface GrantContent {
  scopes: string[]
  /** Claims that were asked for by name, whatever the scopes. */
  claims: string[]
  /** Connections whose linked accounts it may see. */
  connections: string[]
  resources: { id: string; scopes: string[] }[]
}

/**
 * Where a grant keeps the connections that were named when the member agreed: the engine stores them with the rest, as
 * scopes of a resource that no client can ask for, because none is registered under this name.
 */
const linkedAccounts = 'urn:hitotsu:linked-accounts'

/** What is in a grant, or in a grant's stored payload. */
export function contentOf({ openid, resources = {} }: Pick<Grant, 'openid' | 'resources'>): GrantContent {
  return {
    scopes: words(openid?.scope),
    claims: openid?.claims ?? [],
    connections: words(resources[linkedAccounts]),
    resources: Object.entries(resources)
      .filter(([id]) => id !== linkedAccounts)
      .map(([id, scopes]) => ({ id, scopes: words(scopes) })),
  }
}

/** Adds what is not in the grant yet. False when that was nothing; what was added is kept once the grant is saved. */
export function addContent(grant: Grant, more: Partial<GrantContent>): boolean {
  const scopes = except(more.scopes, words(grant.getOIDCScopeEncountered()))
  const claims = except(more.claims, grant.getOIDCClaimsEncountered())
  const connections = { id: linkedAccounts, scopes: more.connections ?? [] }
  const resources = [connections, ...(more.resources ?? [])]
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
  resources: { name: string; scopes: string[] }[]
}

export async function presentContent(
  tx: Tx,
  { scopes, claims, connections, resources }: GrantContent,
  locale: Locale,
): Promise<PresentedContent> {
  const [usable, registered] = await Promise.all([
    tx.connection.findMany({
      where: { id: { in: connections }, disabledAt: null },
      orderBy: { createdAt: 'asc' },
    }),
    tx.resource.findMany({ where: { id: { in: resources.map(({ id }) => id) } } }),
  ])
  const names = new Map(registered.map(({ id, name }) => [id, localizedName.parse(name)[locale]]))
  const covered = claimsOf(scopes)
  const seesLinks = usable.length > 0 || claims.includes('linked_accounts')
  return {
    scopes: seesLinks && !scopes.includes('linked_accounts') ? [...scopes, 'linked_accounts'] : scopes,
    claims: claims.filter((claim) => !covered.has(claim) && claim !== 'linked_accounts'),
    connections: usable.map(({ name }) => localizedName.parse(name)[locale]),
    resources: resources.map(({ id, scopes: of }) => ({ name: names.get(id) ?? id, scopes: of })),
  }
}

function except(all: readonly string[] = [], some: readonly string[]): string[] {
  return all.filter((name) => !some.includes(name))
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(' ').filter(Boolean)
}
