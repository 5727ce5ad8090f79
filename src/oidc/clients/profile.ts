/** What kind of application a client is. The profile decides what it may ask for; the engine enforces what was registered. */
export const clientProfiles = ['web', 'spa', 'native', 'machine', 'device', 'fapi2'] as const
export type ClientProfile = (typeof clientProfiles)[number]

/** Client metadata by its registered names (OpenID Connect Dynamic Client Registration 1.0 section 2, RFC 7591 section 2). */
export type Metadata = Record<string, unknown>

/** One thing in a registration that its profile does not allow. */
export interface ProfileFault {
  /** The metadata it is about. */
  field: string
  reason: string
}

export const tokenExchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code'

/** FAPI 2.0 Security Profile section 5.4.1. */
const strongAlgorithms = ['PS256', 'ES256', 'EdDSA', 'Ed25519']
const signingAlgorithms = [
  'id_token_signed_response_alg',
  'userinfo_signed_response_alg',
  'authorization_signed_response_alg',
  'introspection_signed_response_alg',
  'request_object_signing_alg',
  'token_endpoint_auth_signing_alg',
]

const withSecret = ['client_secret_basic', 'client_secret_post']
const withKey = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']
const memberGrants = ['authorization_code', 'refresh_token']
const memberScope = 'openid profile email offline_access'

interface Rules {
  /** What a registration has that does not say. */
  defaults: Metadata
  authMethods: readonly string[]
  grantTypes: readonly string[]
  redirects: 'https' | 'web' | 'native' | 'none'
  /** Metadata that has this value or is refused, with the reason. */
  demands: Record<string, { value: unknown; reason: string }>
}

const pkce = { require_pkce: { value: true, reason: 'PKCE is what protects its code' } }
const codeFlow = { grant_types: memberGrants, response_types: ['code'], scope: memberScope }
const noBrowser = { response_types: [], redirect_uris: [] }

const profiles: Record<ClientProfile, Rules> = {
  /** A server with a secret or a key. */
  web: {
    defaults: { ...codeFlow, token_endpoint_auth_method: 'client_secret_basic', require_pkce: true },
    authMethods: [...withSecret, ...withKey],
    grantTypes: [...memberGrants, 'client_credentials', tokenExchangeGrant],
    redirects: 'web',
    demands: { application_type: { value: 'web', reason: 'its pages are served from the web' } },
  },
  /** An application in the browser: public, so RFC 9700 section 2.1.1 asks for PKCE. */
  spa: {
    defaults: { ...codeFlow, token_endpoint_auth_method: 'none', require_pkce: true },
    authMethods: ['none'],
    grantTypes: [...memberGrants, tokenExchangeGrant],
    redirects: 'web',
    demands: { ...pkce, application_type: { value: 'web', reason: 'its pages are served from the web' } },
  },
  /** An installed application: public (RFC 8252 section 8.4). */
  native: {
    defaults: {
      ...codeFlow,
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      require_pkce: true,
    },
    authMethods: ['none'],
    grantTypes: [...memberGrants, tokenExchangeGrant],
    redirects: 'native',
    demands: { ...pkce, application_type: { value: 'native', reason: 'it is installed' } },
  },
  /** A program without a member. */
  machine: {
    defaults: {
      ...noBrowser,
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    authMethods: [...withSecret, ...withKey],
    grantTypes: ['client_credentials'],
    redirects: 'none',
    demands: {},
  },
  /** Something with a screen and no keyboard (RFC 8628). */
  device: {
    defaults: {
      ...noBrowser,
      application_type: 'native',
      grant_types: [deviceCodeGrant, 'refresh_token'],
      token_endpoint_auth_method: 'none',
      scope: memberScope,
    },
    authMethods: ['none', ...withSecret, ...withKey],
    grantTypes: [deviceCodeGrant, 'refresh_token'],
    redirects: 'none',
    demands: {},
  },
  /** FAPI 2.0 Security Profile; Message Signing where the client asks for signed requests or answers. */
  fapi2: {
    defaults: {
      ...codeFlow,
      token_endpoint_auth_method: 'private_key_jwt',
      require_pkce: true,
      require_pushed_authorization_requests: true,
    },
    authMethods: withKey,
    grantTypes: [...memberGrants, 'client_credentials'],
    redirects: 'https',
    demands: {
      ...pkce,
      application_type: { value: 'web', reason: 'FAPI 2.0 takes confidential clients alone' },
      require_pushed_authorization_requests: {
        value: true,
        reason: 'FAPI 2.0 section 5.3.2.2 takes pushed authorization requests alone',
      },
    },
  },
}

/** The profile that a registration without one means. */
export function inferProfile({
  application_type,
  grant_types,
  token_endpoint_auth_method,
}: Metadata): ClientProfile {
  const grants = Array.isArray(grant_types) ? grant_types : []
  if (grants.includes(deviceCodeGrant)) return 'device'
  if (application_type === 'native') return 'native'
  if (grants.length > 0 && grants.every((grant) => grant === 'client_credentials')) return 'machine'
  return token_endpoint_auth_method === 'none' ? 'spa' : 'web'
}

/** A registration with its profile's defaults where it is silent. */
export function withDefaults(profile: ClientProfile, given: Metadata): Metadata {
  const { defaults } = profiles[profile]
  const metadata = { ...defaults, ...given, profile }
  // FAPI 2.0 section 5.3.2.1 (4): tokens are bound to a key; to which kind, a registration may choose.
  const bound = profile === 'fapi2' && !given.tls_client_certificate_bound_access_tokens
  return bound ? { dpop_bound_access_tokens: true, ...metadata } : metadata
}

/** Everything in which a registration asks for less, or for something else, than its profile allows. */
export function profileFaults(profile: ClientProfile, metadata: Metadata): ProfileFault[] {
  const { authMethods, grantTypes, demands, redirects } = profiles[profile]
  const faults: ProfileFault[] = []
  const refuse = (field: string, reason: string) => faults.push({ field, reason })

  const method = metadata.token_endpoint_auth_method
  if (!authMethods.includes(String(method)))
    refuse('token_endpoint_auth_method', `a client of profile ${profile} uses ${authMethods.join(', ')}`)
  for (const grant of strings(metadata.grant_types).filter((type) => !grantTypes.includes(type)))
    refuse('grant_types', `a client of profile ${profile} cannot have ${grant}`)
  for (const [field, { value, reason }] of Object.entries(demands)) {
    if (metadata[field] !== undefined && metadata[field] !== value)
      refuse(field, `must be ${value} for profile ${profile}: ${reason}`)
  }
  for (const type of strings(metadata.response_types)) {
    // RFC 9700 section 2.1.2: no token travels through a browser.
    if (redirects === 'none')
      refuse('response_types', `a client of profile ${profile} has no pages to answer`)
    else if (type !== 'code') refuse('response_types', `a client of profile ${profile} cannot have ${type}`)
  }
  for (const field of ['redirect_uris', 'post_logout_redirect_uris']) {
    for (const uri of strings(metadata[field])) {
      const reason = redirectUriFault(redirects, uri)
      if (reason) refuse(field, `${uri}: ${reason}`)
    }
  }
  const logout = logoutUriFault(metadata)
  if (logout) refuse('backchannel_logout_uri', logout)
  if (redirects === 'native') faults.push(...sectorFaults(metadata))
  return profile === 'fapi2' ? [...faults, ...fapiFaults(metadata)] : faults
}

/**
 * OpenID Connect Core 8.1: without a document of its own, a client's sector is the host it is sent back to. A scheme or
 * an address of the device is every application's, and is no host.
 */
function sectorFaults({ subject_type, sector_identifier_uri, redirect_uris }: Metadata): ProfileFault[] {
  if (subject_type !== 'pairwise' || sector_identifier_uri) return []
  if (strings(redirect_uris).every((uri) => URL.parse(uri)?.protocol === 'https:')) return []
  const reason = 'pairwise subjects of an installed application need one, unless it returns to https alone'
  return [{ field: 'sector_identifier_uri', reason }]
}

function fapiFaults(metadata: Metadata): ProfileFault[] {
  const weak = signingAlgorithms
    .filter((field) => metadata[field] !== undefined && !strongAlgorithms.includes(String(metadata[field])))
    .map((field) => ({ field, reason: `FAPI 2.0 section 5.4.1 takes ${strongAlgorithms.join(', ')}` }))
  const isBound = metadata.dpop_bound_access_tokens || metadata.tls_client_certificate_bound_access_tokens
  const unbound = {
    field: 'dpop_bound_access_tokens',
    reason: 'FAPI 2.0 section 5.3.2.1 takes tokens bound to a key (DPoP or mutual TLS) alone',
  }
  return isBound ? weak : [...weak, unbound]
}

export const isStrongAlgorithm = (alg: unknown) => strongAlgorithms.includes(String(alg))

const loopback = ['127.0.0.1', '[::1]']

/** Why an address must not receive codes, or undefined. What the profile is not needed for, the engine checks. */
function redirectUriFault(redirects: Rules['redirects'], uri: string): string | undefined {
  const url = URL.parse(uri)
  if (redirects === 'none') return 'it has no pages to return to'
  if (!url) return undefined
  if (url.username || url.password) return 'must not hold a user name'
  if (redirects === 'native') return nativeUriFault(url)
  // FAPI 2.0 section 5.3.2.2: http is for installed applications alone.
  if (redirects === 'https') return url.protocol === 'https:' ? undefined : 'must be https'
  // RFC 9700 section 2.1: no code travels in the clear; on the member's own machine it does not travel.
  const isLocal = url.protocol === 'http:' && [...loopback, 'localhost'].includes(url.hostname)
  return url.protocol === 'https:' || isLocal
    ? undefined
    : 'must be https: http is for localhost, 127.0.0.1 and [::1] alone'
}

/**
 * OpenID Connect Back-Channel Logout 1.0 section 2.2. Whether the address may be called is decided when it is: one inside,
 * loopback too, has to be among the private hosts.
 */
function logoutUriFault({ backchannel_logout_uri: uri }: Metadata): string | undefined {
  if (uri === undefined) return undefined
  const url = typeof uri === 'string' ? URL.parse(uri) : null
  if (!url) return 'must be an absolute URI'
  if (url.href.includes('#')) return 'must not have a fragment'
  return redirectUriFault('web', url.href)
}

function nativeUriFault({ protocol, hostname }: URL): string | undefined {
  if (protocol === 'https:') return undefined
  // RFC 8252 section 8.3: localhost may be somebody else's; any port of the address itself is its own.
  if (protocol === 'http:')
    return loopback.includes(hostname) ? undefined : 'http is for 127.0.0.1 and [::1] alone'
  // RFC 8252 section 7.1: a scheme of its own is a domain it controls, backwards.
  return protocol.includes('.')
    ? undefined
    : 'a scheme of its own is a reversed domain, e.g. com.example.app:/callback'
}

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
