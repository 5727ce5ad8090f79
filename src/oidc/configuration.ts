import { type Client, type Configuration, errors, type FindAccount, type JWKS } from 'oidc-provider'
import { systemRandom } from '../security/random.ts'
import { findMemberAccount, signInFacts } from './account.ts'
import { acrValues } from './acr.ts'
import { engineAdapter } from './adapter.ts'
import { assertionRules, fapiProfile, isFapi } from './client-authentication.ts'
import { accountClient, accountClientId } from './clients/account-client.ts'
import { type ClientProfile, profileFaults } from './clients/profile.ts'
import { deviceFlow } from './device-flow.ts'
import { dPoP } from './dpop.ts'
import { clockToleranceSeconds } from './ephemeral-adapter.ts'
import { renderEngineError } from './error-page.ts'
import { extraParams } from './extra-params.ts'
import { loadExistingGrant } from './grant.ts'
import { upstreamTokensScope } from './grant-content.ts'
import { introspectionPolicy } from './introspection.ts'
import { type CertificateHeaders, certificateMethods, mutualTls } from './mutual-tls.ts'
import { signedOutPage, signOutPage } from './pages.ts'
import { promptPolicy } from './prompt-policy.ts'
import type { EngineDeps } from './recent.ts'
import { isRegistering, registrationFeatures } from './registration.ts'
import { requestObjectRules } from './request-object.ts'
import { resourceIndicators } from './resources.ts'
import { routes } from './routes.ts'
import { scopeClaims } from './scope-claims.ts'
import { nameInAccessToken, type SubjectsOf } from './subject.ts'

export interface EngineData {
  issuer: string
  cookieKeys: string[]
  jwks: JWKS
  /** How old a sign-in may be when a member links. */
  recentSignInSeconds: number
  /** Where the proxy in front says who has proved a key over TLS; unset, nobody has. */
  certificateHeaders?: CertificateHeaders | undefined
}

const minute = 60
const day = 86_400

const claims = {
  scopes: ['openid', 'offline_access', upstreamTokensScope, ...Object.keys(scopeClaims)],
  claims: {
    acr: null,
    amr: null,
    auth_time: null,
    iss: null,
    sid: null,
    // linked_accounts is in the ID token besides userinfo, whenever its scope was granted and the client may see any.
    // link_result is the answer to link_connection, in the ID token of that request alone.
    openid: ['sub', 'previous_subs', 'linked_accounts', 'link_result'],
    ...Object.fromEntries(Object.entries(scopeClaims).map(([scope, claims]) => [scope, [...claims]])),
  },
} satisfies Configuration

const ttl = {
  AccessToken: (_ctx, { resourceServer }) => resourceServer?.accessTokenTTL ?? 60 * minute,
  AuthorizationCode: minute,
  ClientCredentials: (_ctx, { resourceServer }) => resourceServer?.accessTokenTTL ?? 10 * minute,
  DeviceCode: 10 * minute,
  Grant: 400 * day,
  IdToken: 60 * minute,
  Interaction: 60 * minute,
  RefreshToken: 90 * day,
  Session: 14 * day,
} satisfies Configuration['ttl']

const clientAuthMethods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const

/** Asymmetric alone: of a secret only a digest is kept, which signs nothing. */
const signing = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'] as const
const enabledJWA = {
  idTokenSigningAlgValues: [...signing],
  userinfoSigningAlgValues: [...signing],
  authorizationSigningAlgValues: [...signing],
  introspectionSigningAlgValues: [...signing],
  requestObjectSigningAlgValues: [...signing],
  clientAuthSigningAlgValues: [...signing],
  dPoPSigningAlgValues: ['ES256', 'PS256', 'EdDSA', 'Ed25519'],
} satisfies Configuration['enabledJWA']

function features(
  { issuer, cookieKeys, certificateHeaders }: EngineData,
  { recent, now }: EngineDeps,
  findAccount: FindAccount,
  subjectsOf: SubjectsOf,
): Configuration['features'] {
  return {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource: signOutPage, postLogoutSuccessSource: signedOutPage },
    backchannelLogout: { enabled: true },
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    ...registrationFeatures(systemRandom),
    deviceFlow: deviceFlow(),
    resourceIndicators: resourceIndicators(issuer, recent),
    pushedAuthorizationRequests: { enabled: true },
    requestObjects: { enabled: true, assertJwtClaimsAndHeader: requestObjectRules(now) },
    jwtResponseModes: { enabled: true },
    jwtUserinfo: { enabled: true },
    jwtIntrospection: { enabled: true },
    fapi: { enabled: true, profile: fapiProfile },
    dPoP: dPoP(issuer, cookieKeys[0] ?? '', now),
    mTLS: mutualTls(certificateHeaders),
    // RFC 7009 section 2.1: a client ends its own tokens.
    revocation: { enabled: true, allowedPolicy: (_ctx, { clientId }, token) => token.clientId === clientId },
    introspection: { enabled: true, allowedPolicy: introspectionPolicy(recent, findAccount, subjectsOf) },
  }
}

/**
 * The engine keeps these under the names they have here; only its own metadata gets camel-case names. The profile was
 * checked at registration; a row that was changed behind our back is refused here all the same.
 */
const ownMetadata = [
  'profile',
  'require_pkce',
  'require_dpop_nonce',
  'first_party',
  'allowed_connections',
  'token_connections',
  'allowed_claims',
  'allowed_resources',
  'vouches_for',
  'manages_links',
  'client_name#ja',
  'client_name#en',
]

/** What the engine would drop without mutual TLS, and with it what the client's tokens are bound to. */
const boundToCertificate = 'tls_client_certificate_bound_access_tokens'

function extraClientMetadata(hasMutualTls: boolean): NonNullable<Configuration['extraClientMetadata']> {
  return {
    properties: hasMutualTls ? ownMetadata : [...ownMetadata, boundToCertificate],
    validator(_ctx, key, value, metadata) {
      if (key === boundToCertificate && value)
        throw new errors.InvalidClientMetadata('there is no mutual TLS here to bind tokens with')
      if (key !== 'profile' || metadata.client_id === accountClientId) return
      const faults = profileFaults(value as ClientProfile, metadata)
      const text = faults.map(({ field, reason }) => `${field}: ${reason}`).join('; ')
      if (text) throw new errors.InvalidClientMetadata(text)
    },
  }
}

const discovery = {
  prompt_values_supported: ['none', 'login', 'consent', 'create'],
  link_connection_supported: true,
}

const naming = (subjectsOf: SubjectsOf) =>
  ({
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: async (_ctx, memberId, client) => (await subjectsOf(client, memberId)).sub,
    formats: { customizers: { jwt: nameInAccessToken(subjectsOf) } },
  }) satisfies Configuration

/** The engine's options as data, each with the reason where it is not the engine's default. */
export function engineConfiguration(
  data: EngineData,
  deps: EngineDeps,
  subjectsOf: SubjectsOf,
): Configuration {
  const { issuer, cookieKeys, jwks } = data
  const { db } = deps
  const findAccount = findMemberAccount(deps, subjectsOf)
  return {
    adapter: engineAdapter(deps),
    jwks,
    clients: [accountClient(issuer)],
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      authorization_signed_response_alg: 'ES256',
      introspection_signed_response_alg: 'ES256',
      grant_types: ['authorization_code', 'refresh_token'],
    },
    clockTolerance: clockToleranceSeconds,
    routes,
    findAccount,
    loadExistingGrant: loadExistingGrant(db),
    ...naming(subjectsOf),
    sectorIdentifierUriValidate: isRegistering,
    interactions: {
      policy: promptPolicy(deps, data.recentSignInSeconds, subjectsOf),
      url: (_ctx, { uid }) => `/interaction/${uid}`,
    },

    ...claims,
    acrValues: [...acrValues],
    enabledJWA,
    extraClientMetadata: extraClientMetadata(data.certificateHeaders !== undefined),
    extraParams: [...extraParams],

    // RFC 9700 section 2.1.2: the implicit grant is left out; `none` is for our own pages.
    responseTypes: ['code', 'none'],
    clientAuthMethods: [...clientAuthMethods, ...certificateMethods(data.certificateHeaders)],
    assertJwtClientAuthClaimsAndHeader: assertionRules(deps.now),
    // RFC 9700 section 2.1.1: PKCE, but for a confidential client that an administrator let go without.
    pkce: { required: (_ctx, client) => usesCode(client) && client.require_pkce !== false },
    clientBasedCORS: (_ctx, origin, client) => isOwnOrigin(client, origin),

    cookies: cookies(issuer, cookieKeys),
    // Consent outlives the browser session: signing out ends the session's tokens, not what the member allowed.
    revokeGrantPolicy: ({ oidc }) =>
      oidc.route !== 'end_session_confirm' &&
      !(oidc.route === 'revocation' && oidc.entities.AccessToken !== undefined),
    // RFC 9700 section 4.14.2: rotation shows a stolen token by its second use. FAPI 2.0 section 5.3.2.1 (9): its
    // clients prove a key instead, and lose nothing when an answer gets lost.
    rotateRefreshToken: ({ oidc }) => !isFapi(oidc.client),
    extraTokenClaims: signInFacts,
    // A device is elsewhere than the browser that connected it, and knows nothing of that browser's session.
    expiresWithSession: (_ctx, code) => code.kind !== 'DeviceCode' && !code.scopes.has('offline_access'),
    ttl,
    features: features(data, deps, findAccount, subjectsOf),
    discovery,
    renderError: renderEngineError(db),
  }
}

const usesCode = ({ responseTypes = [] }: Client) => responseTypes.includes('code')

/** A browser application calls from where its codes go (RFC 9700 section 2.6). */
function isOwnOrigin({ profile, redirectUris = [] }: Client, origin: string): boolean {
  return profile === 'spa' && redirectUris.some((uri) => URL.parse(uri)?.origin === origin)
}

function cookies(issuer: string, keys: string[]): Configuration['cookies'] {
  const secure = issuer.startsWith('https:')
  const cookie = { signed: true, httpOnly: true, sameSite: 'lax', secure } as const
  return {
    keys,
    // The interaction cookies carry a path, which the __Host- prefix forbids (RFC 6265bis section 4.1.3.2).
    names: {
      session: secure ? '__Host-hitotsu_session' : 'hitotsu_session',
      interaction: 'hitotsu_interaction',
      resume: 'hitotsu_resume',
    },
    long: cookie,
    short: cookie,
  }
}
