import { describe, expect, test } from 'vitest'
import {
  type ClientProfile,
  clientProfiles,
  deviceCodeGrant,
  inferProfile,
  type Metadata,
  profileFaults,
  tokenExchangeGrant,
  withDefaults,
} from '../../src/oidc/clients/profile.ts'

const https = { redirect_uris: ['https://rp.example.com/callback'] }

/** A registration of each profile that its rules have nothing against. */
const sound: Record<ClientProfile, Metadata> = {
  web: https,
  spa: https,
  native: { redirect_uris: ['com.example.app:/callback'] },
  machine: {},
  device: {},
  fapi2: https,
}

/** The fields that are refused when a sound registration is changed like this. */
function refused(profile: ClientProfile, changes: Metadata): string[] {
  const metadata = withDefaults(profile, { ...sound[profile], ...changes })
  return [...new Set(profileFaults(profile, metadata).map(({ field }) => field))]
}

test.each(clientProfiles)('a %s registration that says no more than it must is taken', (profile) => {
  expect(profileFaults(profile, withDefaults(profile, sound[profile]))).toEqual([])
})

describe('how a client authenticates is for its profile to say', () => {
  const secrets = ['client_secret_basic', 'client_secret_post']
  const keys = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']
  const all = [...secrets, ...keys, 'client_secret_jwt', 'none']
  test.each<[ClientProfile, string[]]>([
    ['web', [...secrets, ...keys]],
    ['spa', ['none']],
    ['native', ['none']],
    ['machine', [...secrets, ...keys]],
    ['device', ['none', ...secrets, ...keys]],
    // FAPI 2.0 Security Profile section 5.3.2.1 (6).
    ['fapi2', keys],
  ])('%s: only %j', (profile, allowed) => {
    for (const method of all)
      expect(refused(profile, { token_endpoint_auth_method: method }), method).toEqual(
        allowed.includes(method) ? [] : ['token_endpoint_auth_method'],
      )
  })
})

describe('what a client may exchange for tokens is for its profile to say', () => {
  const all = [
    ...['authorization_code', 'refresh_token', 'client_credentials', 'implicit', 'password'],
    ...[deviceCodeGrant, tokenExchangeGrant],
  ]
  test.each<[ClientProfile, string[]]>([
    ['web', ['authorization_code', 'refresh_token', 'client_credentials', tokenExchangeGrant]],
    ['spa', ['authorization_code', 'refresh_token', tokenExchangeGrant]],
    ['native', ['authorization_code', 'refresh_token', tokenExchangeGrant]],
    ['machine', ['client_credentials']],
    ['device', [deviceCodeGrant, 'refresh_token']],
    ['fapi2', ['authorization_code', 'refresh_token', 'client_credentials']],
  ])('%s: only %j', (profile, allowed) => {
    for (const grant of all)
      expect(refused(profile, { grant_types: [grant] }), grant).toEqual(
        allowed.includes(grant) ? [] : ['grant_types'],
      )
  })
})

test.each<[ClientProfile, string, Metadata]>([
  ['web', 'application_type', { application_type: 'native' }],
  ['spa', 'application_type', { application_type: 'native' }],
  ['spa', 'require_pkce', { require_pkce: false }],
  ['native', 'application_type', { application_type: 'web' }],
  ['native', 'require_pkce', { require_pkce: false }],
  ['fapi2', 'application_type', { application_type: 'native' }],
  ['fapi2', 'require_pkce', { require_pkce: false }],
  ['fapi2', 'require_pushed_authorization_requests', { require_pushed_authorization_requests: false }],
  ['fapi2', 'dpop_bound_access_tokens', { dpop_bound_access_tokens: false }],
  ['fapi2', 'id_token_signed_response_alg', { id_token_signed_response_alg: 'RS256' }],
  ['fapi2', 'userinfo_signed_response_alg', { userinfo_signed_response_alg: 'RS256' }],
  ['fapi2', 'authorization_signed_response_alg', { authorization_signed_response_alg: 'RS256' }],
  ['fapi2', 'introspection_signed_response_alg', { introspection_signed_response_alg: 'RS256' }],
  ['fapi2', 'request_object_signing_alg', { request_object_signing_alg: 'RS256' }],
  ['fapi2', 'token_endpoint_auth_signing_alg', { token_endpoint_auth_signing_alg: 'HS256' }],
  ['web', 'response_types', { response_types: ['code', 'code id_token'] }],
  ['spa', 'response_types', { response_types: ['token'] }],
  ['native', 'response_types', { response_types: ['none'] }],
  ['fapi2', 'response_types', { response_types: ['id_token'] }],
  ['machine', 'response_types', { response_types: ['code'] }],
  ['device', 'response_types', { response_types: ['code'] }],
  ['native', 'sector_identifier_uri', { subject_type: 'pairwise' }],
])('%s demands its %s', (profile, field, changes) => {
  expect(refused(profile, changes)).toEqual([field])
})

test.each<[ClientProfile, Metadata]>([
  ['web', { require_pkce: false }],
  ['fapi2', { dpop_bound_access_tokens: false, tls_client_certificate_bound_access_tokens: true }],
  ['fapi2', { tls_client_certificate_bound_access_tokens: true }],
  ['fapi2', { id_token_signed_response_alg: 'PS256', request_object_signing_alg: 'EdDSA' }],
  ['native', { subject_type: 'pairwise', redirect_uris: ['https://app.example.com/callback'] }],
  [
    'native',
    { subject_type: 'pairwise', sector_identifier_uri: 'https://app.example.com/redirect-uris.json' },
  ],
])('%s takes %j', (profile, changes) => {
  expect(refused(profile, changes)).toEqual([])
})

describe('where codes go is for the profile to say', () => {
  const uris = {
    https: 'https://rp.example.com/callback?tenant=1',
    http: 'http://rp.example.com/callback',
    localhost: 'http://localhost:8080/callback',
    loopback: 'http://127.0.0.1/callback',
    'IPv6 loopback': 'http://[::1]:0/callback',
    'a reversed domain': 'com.example.app:/callback',
    'a word as a scheme': 'myapp:/callback',
    javascript: 'javascript:alert(1)',
    data: 'data:text/html,hello',
    'a user name': 'https://somebody@rp.example.com/callback',
  }
  const web = ['https', 'localhost', 'loopback', 'IPv6 loopback']
  test.each<[ClientProfile, string[]]>([
    // RFC 9700 section 2.1.
    ['web', web],
    ['spa', web],
    // RFC 8252 sections 7.1, 7.3 and 8.3.
    ['native', ['https', 'loopback', 'IPv6 loopback', 'a reversed domain']],
    ['machine', []],
    ['device', []],
    // FAPI 2.0 Security Profile section 5.3.2.2.
    ['fapi2', ['https']],
  ])('%s: only %j', (profile, allowed) => {
    for (const [name, uri] of Object.entries(uris)) {
      for (const field of ['redirect_uris', 'post_logout_redirect_uris'])
        expect(refused(profile, { [field]: [uri] }), `${field}: ${name}`).toEqual(
          allowed.includes(name) ? [] : [field],
        )
    }
  })
})

test.each<[Metadata, ClientProfile]>([
  [{}, 'web'],
  [{ token_endpoint_auth_method: 'private_key_jwt' }, 'web'],
  [{ grant_types: ['authorization_code', 'client_credentials'] }, 'web'],
  [{ token_endpoint_auth_method: 'none' }, 'spa'],
  [{ application_type: 'native', token_endpoint_auth_method: 'none' }, 'native'],
  [{ grant_types: ['client_credentials'] }, 'machine'],
  [{ application_type: 'native', grant_types: [deviceCodeGrant] }, 'device'],
  [{ grant_types: 'client_credentials' }, 'web'],
])('a registration of %j means the profile %s', (metadata, profile) => {
  expect(inferProfile(metadata)).toBe(profile)
})
