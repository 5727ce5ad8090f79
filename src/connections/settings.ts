import { z } from 'zod'
import type { LocalizedName } from '../http/i18n.ts'
import type { Connection as ConnectionRow } from '../store/generated/client.ts'

export const kinds = [
  'oidc',
  'oauth2',
  'line',
  'google',
  'apple',
  'yahoo-japan',
  'd-account',
  'rakuten',
  'amazon',
  'facebook',
  'x',
  'shopify',
  'ticket',
] as const
export type KindName = (typeof kinds)[number]

/** An address of an upstream. http is for upstreams on this machine: the outbound fetch reaches listed private hosts alone. */
export const upstreamAddress = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[#\s]|^[a-z]+:\/\/[^/]*@/i.test(text), 'has no fragment and no user in it')

/** Where a value is in a JSON document: `id`, `data.id`. */
const claimPath = z
  .string()
  .regex(/^[\w-]{1,60}(\.[\w-]{1,60}){0,4}$/, 'must be a path of names with dots between them')

/** What the addresses of an upstream are, where no document of its own says so, or says something else. */
const endpoints = z
  .object({
    authorization: upstreamAddress,
    token: upstreamAddress,
    userinfo: upstreamAddress,
    jwks: upstreamAddress,
    revocation: upstreamAddress,
  })
  .partial()

/** OAuth 2.0 does not say what an account looks like: where in the userinfo document it is told. */
const claims = z.object({
  subject: claimPath,
  /** Whether the subject is JSON text or an integer; one kind alone, so that `7` and `"7"` are never one account. */
  subjectType: z.enum(['text', 'integer']),
  name: claimPath.optional(),
  email: claimPath.optional(),
  emailVerified: claimPath.optional(),
})

/** What is particular to one upstream. */
export const connectionSettings = z.object({
  scope: z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/, 'must name a scope'),
  clientAuthentication: z.enum(['client_secret_basic', 'client_secret_post']),
  /** Unset: whatever asymmetric algorithm the provider publishes a key for. */
  idTokenSigningAlg: z.enum(['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA']).optional(),
  /** Further applications at the upstream (native apps) whose ID tokens are as good as our own client's. */
  audiences: z.array(z.string().min(1).max(200)).max(20).optional(),
  /** Whether this upstream's word that an address is verified is believed. */
  trustEmail: z.boolean(),
  authorizationParams: z.record(z.string(), z.string()),
  /** Where the upstream's metadata is, when not where its issuer says. */
  discovery: upstreamAddress.optional(),
  endpoints: endpoints.optional(),
  claims: claims.optional(),
  /** Who signs the client secret, where it is a key: Apple's names for it. */
  signer: z.object({ teamId: z.string().min(1).max(40), keyId: z.string().min(1).max(40) }).optional(),
  /** How relying parties see the upstream's subject: as it is, or as a name of its own for each of them. */
  disclosure: z.enum(['subject', 'pairwise']),
})
export type ConnectionSettings = z.infer<typeof connectionSettings>

/** What somebody says of a connection; the rest is as its kind has it. */
export const givenSettings = connectionSettings.partial()
export type GivenSettings = z.infer<typeof givenSettings>

/** As they are stored: what came later is filled in. */
export const storedSettings = connectionSettings.extend({
  disclosure: connectionSettings.shape.disclosure.default('subject'),
})

/** Without what is not said, so that it overrides nothing. */
export function said<T extends object>(input: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(input).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** A connection as features use it; its secret stays sealed until a request to the upstream needs it. */
export interface Connection extends Omit<ConnectionRow, 'name' | 'settings' | 'kind'> {
  kind: KindName
  name: LocalizedName
  settings: ConnectionSettings
}
