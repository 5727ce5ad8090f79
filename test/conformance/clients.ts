import { X509Certificate } from 'node:crypto'
import type { NewClient } from '../../src/oidc/clients/new-client.ts'
import type { Credentials } from './kept.ts'

/** Where the suite receives what we send. */
export interface SuitePlace {
  /** Its base URL. */
  suite: string
  /** Names a run, and with it the suite's addresses. */
  alias: string
}

const scopes = ['openid', 'profile', 'email', 'address', 'phone', 'offline_access']

const at = ({ suite, alias }: SuitePlace, path: string) => `${suite}/test/a/${alias}/${path}`

/** The clients of the plans in which a client is not registered by the suite. */
export function planClients(place: SuitePlace, [first, second]: [Credentials, Credentials]): NewClient[] {
  return [
    ...coreClients(place),
    ...fapiVariants.flatMap((variant) => [
      fapiClient(place, variant, 1, first),
      fapiClient(place, variant, 2, second),
    ]),
  ]
}

export const core = {
  first: 'conformance-1',
  second: 'conformance-2',
  post: 'conformance-post',
  /** A plan that knows nothing of logout tokens fails when it gets one, so who gets them are others. */
  logout: 'conformance-logout-1',
  secondLogout: 'conformance-logout-2',
}

function coreClients(place: SuitePlace): NewClient[] {
  const client = (id: string, input: Partial<NewClient> = {}): NewClient => ({
    id,
    name: nameOf(id),
    profile: 'web',
    redirectUris: [at(place, 'callback')],
    postLogoutRedirectUris: [at(place, 'post_logout_redirect')],
    scopes,
    authMethod: 'client_secret_basic',
    idTokenSigningAlg: 'RS256',
    // Most modules of the OpenID Connect plans are older than PKCE.
    requirePkce: false,
    ...input,
  })
  const metadata = {
    backchannel_logout_uri: at(place, 'backchannel_logout'),
    backchannel_logout_session_required: true,
  }
  return [
    client(core.first),
    client(core.second),
    client(core.post, { authMethod: 'client_secret_post' }),
    client(core.logout, { metadata }),
    client(core.secondLogout, { metadata }),
  ]
}

/** How the clients of a FAPI plan authenticate, and what their tokens are bound by; the names are the suite's. */
export interface FapiVariant {
  auth: 'private_key_jwt' | 'mtls'
  constrain: 'dpop' | 'mtls'
  /** Message Signing: signed requests and signed answers. */
  signed?: boolean
}

export const fapiVariants: FapiVariant[] = [
  { auth: 'private_key_jwt', constrain: 'dpop' },
  { auth: 'private_key_jwt', constrain: 'mtls' },
  { auth: 'mtls', constrain: 'dpop' },
  { auth: 'mtls', constrain: 'mtls' },
  { auth: 'private_key_jwt', constrain: 'dpop', signed: true },
]

export const fapiScopes = ['openid', 'email', 'offline_access']

/** What a variant is called in file names and client ids. */
export function variantName({ auth, constrain, signed }: FapiVariant): string {
  const short = auth === 'mtls' ? 'mtls' : 'pkjwt'
  return `fapi2-${signed ? 'ms' : 'sp'}-${short}-${constrain}`
}

export const fapiClientId = (variant: FapiVariant, place: 1 | 2) => `${variantName(variant)}-${place}`

function fapiClient(
  place: SuitePlace,
  variant: FapiVariant,
  number: 1 | 2,
  credentials: Credentials,
): NewClient {
  const id = fapiClientId(variant, number)
  // The suite has the second client return to an address with a query.
  const query = number === 2 ? '?dummy1=lorem&dummy2=ipsum' : ''
  return {
    id,
    name: nameOf(id),
    profile: 'fapi2',
    redirectUris: [`${at(place, 'callback')}${query}`],
    scopes: fapiScopes,
    authMethod: variant.auth === 'mtls' ? 'self_signed_tls_client_auth' : 'private_key_jwt',
    jwks: { keys: [variant.auth === 'mtls' ? certificateKey(credentials) : publicKey(credentials)] },
    idTokenSigningAlg: 'PS256',
    metadata: {
      ...(variant.constrain === 'mtls' && { tls_client_certificate_bound_access_tokens: true }),
      ...(variant.signed && {
        require_signed_request_object: true,
        authorization_signed_response_alg: 'PS256',
      }),
    },
  }
}

function publicKey({ key }: Credentials): Record<string, unknown> {
  const secret = ['d', 'p', 'q', 'dp', 'dq', 'qi']
  return Object.fromEntries(Object.entries(key).filter(([name]) => !secret.includes(name)))
}

/** RFC 8705 section 2.2.2: a self-signed certificate is registered as a key that has it. */
function certificateKey({ certificate }: Credentials): Record<string, unknown> {
  const shown = new X509Certificate(certificate.certificate)
  return { ...shown.publicKey.export({ format: 'jwk' }), x5c: [shown.raw.toString('base64')] }
}

const nameOf = (id: string) => ({ ja: `適合性試験 ${id}`, en: `Conformance ${id}` })
