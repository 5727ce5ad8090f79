import { z } from 'zod'
import { localizedName } from '../../http/i18n.ts'
import { accountClientId } from './account-client.ts'
import { clientProfiles, inferProfile, type Metadata, profileFaults, withDefaults } from './profile.ts'

const webUrl = z.url({ protocol: /^https?$/ })
const algorithms = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const

export const clientFields = z.object({
  id: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9._-]{1,62}$/,
      'lower-case letters, digits, dots, hyphens and underscores, 2 to 63 characters',
    )
    .refine((id) => id !== accountClientId, 'this id is reserved'),
  name: localizedName,
  /** Unset: what the rest means (a client without authentication is an spa, else web). */
  profile: z.enum(clientProfiles).optional(),
  redirectUris: z.array(z.url()).optional(),
  postLogoutRedirectUris: z.array(z.url()).optional(),
  /** OpenID Connect scopes; those of resources come with `resources`. */
  scopes: z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/)).optional(),
  authMethod: z
    .enum([
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'tls_client_auth',
      'self_signed_tls_client_auth',
      'none',
    ])
    .optional(),
  jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1) }).optional(),
  /** Unset: ES256. */
  idTokenSigningAlg: z.enum(algorithms).optional(),
  /** False for a confidential client whose library is older than PKCE. */
  requirePkce: z.boolean().optional(),
  /** Connections whose linked accounts it may see. */
  connections: z.array(z.string()).default([]),
  /** Connections for which its word on who holds an account is taken. */
  vouchConnections: z.array(z.string()).default([]),
  /** Connections whose access tokens it is handed. */
  tokenConnections: z.array(z.string()).default([]),
  /** The APIs it may ask tokens for, each with the scopes it may have there: none stands for all. */
  resources: z.array(z.object({ id: z.string(), scopes: z.array(z.string()).default([]) })).default([]),
  firstParty: z.boolean().default(false),
  /** Makes and ends links at the API: one of the company's own programs. */
  managesLinks: z.boolean().default(false),
  clientUri: webUrl.optional(),
  logoUri: webUrl.optional(),
  policyUri: webUrl.optional(),
  tosUri: webUrl.optional(),
  /** Any other client metadata, by its registered name. */
  metadata: z.record(z.string(), z.unknown()).default({}),
})

/** What an administrator says of a new client; every fault is found at once, under the field it is in. */
export const newClient = clientFields.superRefine((input, context) => {
  const metadata = toMetadata(input)
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path, message })
  for (const { field, reason } of profileFaults(profileOf(input), metadata)) {
    const key = inputNames[field]
    const uris = key === 'redirectUris' || key === 'postLogoutRedirectUris' ? (input[key] ?? []) : []
    const at = uris.findIndex((uri) => reason.startsWith(`${uri}: `))
    if (key && at >= 0) refuse([key, at], reason.slice((uris[at]?.length ?? 0) + 2))
    else refuse([key ?? 'metadata'], key ? reason : `${field}: ${reason}`)
  }
  const usesCode = Array.isArray(metadata.response_types) && metadata.response_types.length > 0
  if (usesCode && !(metadata.redirect_uris as unknown[] | undefined)?.length)
    refuse(['redirectUris'], 'at least one redirect URI')
})
export type NewClient = z.input<typeof clientFields>
export type ParsedClient = z.output<typeof clientFields>

/** Which field of the input a metadata field comes from. */
const inputNames: Record<string, keyof NewClient> = {
  redirect_uris: 'redirectUris',
  post_logout_redirect_uris: 'postLogoutRedirectUris',
  token_endpoint_auth_method: 'authMethod',
  id_token_signed_response_alg: 'idTokenSigningAlg',
  require_pkce: 'requirePkce',
}

/** The metadata a registration stands for: what was given, on its profile's defaults. */
export function toMetadata(input: Omit<NewClient, 'id' | 'name'>): Metadata {
  const given = defined({
    redirect_uris: input.redirectUris,
    post_logout_redirect_uris: input.postLogoutRedirectUris,
    scope: input.scopes?.join(' '),
    token_endpoint_auth_method: input.authMethod,
    jwks: input.jwks,
    id_token_signed_response_alg: input.idTokenSigningAlg,
    require_pkce: input.requirePkce,
    client_uri: input.clientUri,
    logo_uri: input.logoUri,
    policy_uri: input.policyUri,
    tos_uri: input.tosUri,
    first_party: input.firstParty ?? false,
  })
  return withDefaults(profileOf(input), { ...input.metadata, ...given })
}

function profileOf({ profile, authMethod, metadata }: Omit<NewClient, 'id' | 'name'>) {
  return profile ?? inferProfile({ ...metadata, ...defined({ token_endpoint_auth_method: authMethod }) })
}

function defined(fields: Metadata): Metadata {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
