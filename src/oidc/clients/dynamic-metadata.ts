import { z } from 'zod'
import {
  type ClientProfile,
  clientProfiles,
  inferProfile,
  type Metadata,
  type ProfileFault,
  profileFaults,
  withDefaults,
} from './profile.ts'

/** What an administrator lets the clients of an initial access token be. */
export const registrationRules = z.object({
  profiles: z.array(z.enum(clientProfiles)).min(1),
  /** What they may ask for; connections, resources and first-party standing are never theirs to say. */
  scopes: z.array(z.string()),
  /** True for libraries older than PKCE; RFC 9700 section 2.1.1 allows it to confidential clients. */
  allowNoPkce: z.boolean(),
})
export type RegistrationRules = z.output<typeof registrationRules>

/** Metadata that only an administrator sets: it gives a client more than it could ask for. */
export const administrativeFields = [
  'first_party',
  'allowed_connections',
  'token_connections',
  'allowed_resources',
  'allowed_claims',
  'vouches_for',
  'manages_links',
] as const

/** What a client already has because an administrator gave it, so that registering itself anew does not take it away. */
export interface Standing {
  scope?: string | undefined
  requiresPkce: boolean
}

const maxUris = 20
const maxContacts = 10
const maxKeys = 20
/** As `localizedName` has it. */
const maxNameLength = 60
const maxLength = 2_000

/**
 * The metadata a registration stands for under these rules, and everything the rules have against it. What it is silent
 * about is as its profile has it, and else as OpenID Connect Dynamic Client Registration 1.0 section 2 does.
 */
export function dynamicMetadata(
  rules: RegistrationRules,
  given: Metadata,
  standing?: Standing,
): { metadata: Metadata; faults: ProfileFault[] } {
  const profile = given.profile === undefined ? inferProfile(given) : given.profile
  if (!isProfile(profile) || !rules.profiles.includes(profile)) {
    const reason = `${String(profile)} is not among those of the access token: ${rules.profiles.join(', ')}`
    return { metadata: given, faults: [{ field: 'profile', reason }] }
  }
  const mayOmitPkce = profile === 'web' && (rules.allowNoPkce || standing?.requiresPkce === false)
  const scopes = [...new Set([...rules.scopes, ...(standing?.scope ?? '').split(' ').filter(Boolean)])]
  const silent = {
    ...(profile !== 'fapi2' && signedWithRs256),
    ...(profile !== 'machine' && { scope: scopes.join(' ') }),
    ...(mayOmitPkce && { require_pkce: false }),
  }
  const metadata = withDefaults(profile, { ...silent, ...given })
  const faults = [
    ...privilegeFaults(given),
    ...scopeFaults(metadata, scopes),
    ...typeFaults(metadata),
    ...sizeFaults(given),
    ...addressFaults(metadata),
    ...profileFaults(profile, metadata),
  ]
  if (metadata.require_pkce === false && !mayOmitPkce)
    faults.push({ field: 'require_pkce', reason: 'the access token does not let clients go without PKCE' })
  return { metadata, faults }
}

const isProfile = (value: unknown): value is ClientProfile => clientProfiles.some((known) => known === value)

/** OpenID Connect Dynamic Client Registration 1.0 section 2, JARM section 3, RFC 9701 section 6. */
const signedWithRs256 = {
  id_token_signed_response_alg: 'RS256',
  authorization_signed_response_alg: 'RS256',
  introspection_signed_response_alg: 'RS256',
}

function privilegeFaults(given: Metadata): ProfileFault[] {
  return administrativeFields
    .filter((field) => given[field] !== undefined)
    .map((field) => ({ field, reason: 'is for an administrator to set' }))
}

function scopeFaults({ scope }: Metadata, allowed: readonly string[]): ProfileFault[] {
  if (typeof scope !== 'string') return []
  const beyond = scope.split(' ').filter((word) => word && !allowed.includes(word))
  if (beyond.length === 0) return []
  return [{ field: 'scope', reason: `the access token does not allow ${beyond.join(' ')}` }]
}

/** Of what the engine does not know the type of. */
function typeFaults(metadata: Metadata): ProfileFault[] {
  const isAmiss = (field: string, type: string) =>
    metadata[field] !== undefined && (typeof metadata[field] !== type || metadata[field] === '')
  return [
    ...['require_pkce', 'require_dpop_nonce']
      .filter((field) => isAmiss(field, 'boolean'))
      .map((field) => ({ field, reason: 'must be a boolean' })),
    ...nameFields
      .filter((field) => isAmiss(field, 'string'))
      .map((field) => ({ field, reason: 'must be a non-empty string' })),
    // Members read it where they decide whom to trust: it must not rewrite what stands around it.
    ...nameFields
      .filter((field) => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(String(metadata[field] ?? '')))
      .map((field) => ({ field, reason: 'must not have control or format characters' })),
  ]
}

const nameFields = ['client_name', 'client_name#ja', 'client_name#en']

/** What anybody may write is kept small: it is read with every request of the client. */
function sizeFaults(given: Metadata): ProfileFault[] {
  const faults: ProfileFault[] = []
  for (const [field, value] of Object.entries(given)) {
    const longest = nameFields.includes(field) ? maxNameLength : maxLength
    if ([value].flat().some((text) => typeof text === 'string' && text.length > longest))
      faults.push({ field, reason: `at most ${longest} characters` })
  }
  const counted = { redirect_uris: maxUris, post_logout_redirect_uris: maxUris, contacts: maxContacts }
  for (const [field, most] of Object.entries(counted)) {
    const value = given[field]
    if (Array.isArray(value) && value.length > most) faults.push({ field, reason: `at most ${most}` })
  }
  const keys = z.object({ keys: z.array(z.unknown()) }).safeParse(given.jwks).data?.keys ?? []
  if (keys.length > maxKeys) faults.push({ field: 'jwks', reason: `at most ${maxKeys} keys` })
  return faults
}

const addresses = [
  'client_uri',
  'logo_uri',
  'policy_uri',
  'tos_uri',
  'jwks_uri',
  'sector_identifier_uri',
  'initiate_login_uri',
]

function addressFaults(metadata: Metadata): ProfileFault[] {
  const faults: ProfileFault[] = []
  for (const field of addresses) {
    const uri = metadata[field]
    if (uri !== undefined && !isSecure(uri))
      faults.push({ field, reason: 'must be https: http is for localhost, 127.0.0.1 and [::1] alone' })
  }
  for (const field of ['redirect_uris', 'post_logout_redirect_uris']) {
    for (const uri of Array.isArray(metadata[field]) ? metadata[field] : []) {
      const url = typeof uri === 'string' ? URL.parse(uri) : null
      // RFC 6749 section 3.1.2.
      if (!url) faults.push({ field, reason: `${String(uri)}: must be an absolute URI` })
      else if (url.href.includes('#')) faults.push({ field, reason: `${uri}: must not have a fragment` })
    }
  }
  return faults
}

function isSecure(uri: unknown): boolean {
  const url = typeof uri === 'string' ? URL.parse(uri) : null
  if (url?.protocol === 'http:') return ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  return url?.protocol === 'https:'
}
