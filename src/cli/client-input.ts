import type { z } from 'zod'
import { clientFields, type NewClient, newClient, type ParsedClient } from '../oidc/clients/new-client.ts'
import { given, type Json, nameOf, nameOptions, readText } from './command.ts'
import { faultsByOption, wrongUsage } from './refusal.ts'

export interface ClientOptions extends Json {
  id?: string
  nameJa?: string
  nameEn?: string
  redirectUri?: string[]
  postLogoutRedirectUri?: string[]
  profile?: string
  scope?: string[]
  authMethod?: string
  jwksFile?: string
  idTokenAlg?: string
  pkceOptional?: boolean
  metadataFile?: string
  logoUri?: string
  unset?: string[]
  connection?: string[]
  vouchConnection?: string[]
  tokenConnection?: string[]
  resource?: string[]
  firstParty?: boolean
  manageLinks?: boolean
  clientUri?: string
  policyUri?: string
  tosUri?: string
}

const optionNames = {
  ...nameOptions,
  id: '--id',
  redirectUris: '--redirect-uri',
  postLogoutRedirectUris: '--post-logout-redirect-uri',
  profile: '--profile',
  scopes: '--scope',
  authMethod: '--auth-method',
  jwks: '--jwks-file',
  'jwks.keys': '--jwks-file',
  idTokenSigningAlg: '--id-token-alg',
  requirePkce: '--pkce-optional',
  metadata: '--metadata-file',
  logoUri: '--logo-uri',
  connections: '--connection',
  vouchConnections: '--vouch-connection',
  tokenConnections: '--token-connection',
  resources: '--resource',
  clientUri: '--client-uri',
  policyUri: '--policy-uri',
  tosUri: '--tos-uri',
}

/**
 * The registration that the options describe, on top of the one there is.
 * @throws Refusal with every fault of the input, those the engine sees among them
 */
export async function readClient(
  options: ClientOptions,
  registered: Partial<NewClient> = {},
): Promise<ParsedClient> {
  const faults: string[] = []
  const said = given({
    id: options.id,
    profile: options.profile,
    name: registered.name
      ? { ...registered.name, ...given({ ja: options.nameJa, en: options.nameEn }) }
      : nameOf(options),
    redirectUris: options.redirectUri,
    postLogoutRedirectUris: options.postLogoutRedirectUri,
    scopes: options.scope,
    authMethod: options.authMethod,
    jwks:
      options.jwksFile === undefined ? undefined : await readJson('--jwks-file', options.jwksFile, faults),
    idTokenSigningAlg: options.idTokenAlg,
    requirePkce: options.pkceOptional === undefined ? undefined : !options.pkceOptional,
    metadata:
      options.metadataFile === undefined
        ? undefined
        : await readJson('--metadata-file', options.metadataFile, faults),
    logoUri: options.logoUri,
    connections: options.connection && [...new Set(options.connection)],
    vouchConnections: options.vouchConnection && [...new Set(options.vouchConnection)],
    tokenConnections: options.tokenConnection && [...new Set(options.tokenConnection)],
    resources: options.resource && readResources(options.resource),
    firstParty: options.firstParty,
    managesLinks: options.manageLinks,
    clientUri: options.clientUri,
    policyUri: options.policyUri,
    tosUri: options.tosUri,
  })
  const input = { ...registered, ...said, metadata: mergeMetadata(registered, said, options.unset) }
  const parsed = newClient.safeParse(input)
  if (!parsed.success) faults.push(...faultsByOption(parsed.error, input, optionNames))
  // Half of what this program can load is the engine, and no other command needs it.
  const { metadataFaults } = await import('./client-metadata.ts')
  faults.push(...(await metadataFaults(soundParts(said, parsed.error?.issues ?? []), parsed.data)))
  if (!parsed.success || faults.length > 0) throw wrongUsage(faults)
  return parsed.data
}

/** `https://api.example.com` or `https://api.example.com=orders:read orders:write`; the last word on one counts. */
function readResources(given: readonly string[]): { id: string; scopes: string[] }[] {
  const scopes = new Map(
    given.map((text) => {
      const [, id = '', words = ''] = /^([^=]*)=?(.*)$/s.exec(text) ?? []
      return [id, words.split(/\s+/).filter(Boolean)]
    }),
  )
  return [...scopes].map(([id, of]) => ({ id, scopes: of }))
}

async function readJson(option: string, path: string, faults: string[]): Promise<unknown> {
  try {
    return JSON.parse(await readText(path))
  } catch (error) {
    const reason = error instanceof SyntaxError ? 'is not JSON' : (error as Error).message
    faults.push(`${option} ${path}: ${reason}`)
    return undefined
  }
}

/** Other metadata goes on top of what there is; what is to be unset goes. */
function mergeMetadata(
  registered: Partial<NewClient>,
  { metadata }: { metadata?: unknown },
  unset: readonly string[] = [],
): unknown {
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null)) return metadata
  const entries = Object.entries({ ...registered.metadata, ...metadata })
  return Object.fromEntries(entries.filter(([name]) => !unset.includes(name)))
}

/** What the schema has nothing against: a field without faults, or of a list the entries without. */
function soundParts(input: object, issues: readonly z.core.$ZodIssue[]): Partial<NewClient> {
  const sound = Object.entries(input).flatMap(([field, value]) => {
    const paths = issues.map(({ path }) => path).filter(([first]) => first === field)
    if (!Array.isArray(value) || paths.some(({ length }) => length === 1))
      return paths.length > 0 ? [] : [[field, value]]
    const rest = value.filter((_, position) => !paths.some(([, at]) => at === position))
    return rest.length > 0 ? [[field, rest]] : []
  })
  return given(clientFields.partial().parse(Object.fromEntries(sound)))
}
