import { type Configuration, errors, type FindAccount, type JWKS } from 'oidc-provider'
import type { Db } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import { findMemberAccount, scopeClaims, signInTime } from './account.ts'
import { engineAdapter } from './adapter.ts'
import { accountClient } from './clients/account-client.ts'
import { clockToleranceSeconds } from './ephemeral-adapter.ts'
import { loadExistingGrant } from './grant.ts'
import { renderEngineError, signedOutPage, signOutPage } from './pages.ts'
import { promptPolicy } from './prompt-policy.ts'
import { routes } from './routes.ts'

export interface EngineData {
  issuer: string
  cookieKeys: string[]
  jwks: JWKS
}

export interface EngineDeps {
  db: Db
  store: Ephemeral
  now: () => Date
}

const minute = 60
const day = 86_400

const claims = {
  scopes: ['openid', 'offline_access', ...Object.keys(scopeClaims)],
  claims: {
    acr: null,
    amr: null,
    auth_time: null,
    iss: null,
    sid: null,
    // linked_accounts is in the ID token besides userinfo, whenever its scope was granted and the client may see any.
    openid: ['sub', 'linked_accounts'],
    ...Object.fromEntries(Object.entries(scopeClaims).map(([scope, claims]) => [scope, [...claims]])),
  },
} satisfies Configuration

const ttl = {
  AccessToken: 60 * minute,
  AuthorizationCode: minute,
  Grant: 400 * day,
  IdToken: 60 * minute,
  Interaction: 60 * minute,
  RefreshToken: 90 * day,
  Session: 14 * day,
} satisfies Configuration['ttl']

function features(findAccount: FindAccount): Configuration['features'] {
  return {
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: true, logoutSource: signOutPage, postLogoutSuccessSource: signedOutPage },
    revocation: { enabled: true },
    introspection: {
      enabled: true,
      // RFC 7662 section 4: a client learns of its own tokens and of nobody else's.
      async allowedPolicy(ctx, client, token) {
        if (token.clientId !== client.clientId || client.clientAuthMethod === 'none') return false
        // The engine asks whether token and grant exist, but not whether their member may still act.
        return !('accountId' in token) || (await findAccount(ctx, token.accountId, token)) !== undefined
      },
    },
  }
}

/** The engine's options as data, each with the reason where it is not the engine's default. */
export function engineConfiguration(
  { issuer, cookieKeys, jwks }: EngineData,
  { db, store, now }: EngineDeps,
): Configuration {
  const findAccount = findMemberAccount(db)
  return {
    adapter: engineAdapter(db, store, now),
    jwks,
    clients: [accountClient(issuer)],
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      grant_types: ['authorization_code', 'refresh_token'],
    },
    clockTolerance: clockToleranceSeconds,
    routes,
    findAccount,
    loadExistingGrant: loadExistingGrant(db),
    interactions: { policy: promptPolicy(), url: (_ctx, { uid }) => `/interaction/${uid}` },

    ...claims,
    // The engine keeps these under the names they have here; only its own metadata gets camel-case names.
    extraClientMetadata: { properties: ['first_party', 'allowed_connections', 'client_name#en'] },

    // RFC 9700 section 2.1.2: the implicit grant is left out; `none` is for our own pages.
    responseTypes: ['code', 'none'],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    // RFC 7523 section 3 (3) lets an assertion name several audiences: each of them could then use it here.
    assertJwtClientAuthClaimsAndHeader: (_ctx, { aud }) => {
      if (Array.isArray(aud) && aud.length > 1)
        throw new errors.InvalidClientAuth('audience (aud) must be this server alone')
    },
    // RFC 9700 section 2.1.1: PKCE for every client, public or not.
    pkce: { required: (_ctx, client) => client.responseTypes?.includes('code') ?? true },

    cookies: cookies(issuer, cookieKeys),
    // Consent outlives the browser session: signing out ends the session's tokens, not what the member allowed.
    revokeGrantPolicy: ({ oidc }) =>
      oidc.route !== 'end_session_confirm' &&
      !(oidc.route === 'revocation' && oidc.entities.AccessToken !== undefined),
    // RFC 9700 section 4.14.2: rotation shows a stolen token by its second use, whoever the client is.
    rotateRefreshToken: true,
    extraTokenClaims: signInTime,
    expiresWithSession: (_ctx, code) => !code.scopes.has('offline_access'),
    ttl,
    features: features(findAccount),
    discovery: { prompt_values_supported: ['none', 'login', 'consent', 'create'] },
    renderError: renderEngineError,
  }
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
