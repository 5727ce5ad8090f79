import type { Context, Middleware } from 'koa'
import Provider, { type Configuration, interactionPolicy } from 'oidc-provider'
import type { Accounts } from './accounts.ts'
import { createMapAdapter } from './map-adapter.ts'
import type { StoreState } from './state.ts'
import { sendEngineError, sendSignedOut, sendSignOutPage } from './upstream-pages.ts'

export interface UpstreamClient {
  clientId: string
  clientSecret: string
  redirectUris: string[]
}

export const interactionPath = '/store-account/sign-in'

const minute = 60
const day = 24 * 60 * minute

/**
 * The store as an OpenID Provider of its own accounts, for one confidential client. Everything it
 * answers under is `/op/` or `/.well-known/`, so that it never meets a page of the shop.
 */
export function createUpstream(
  issuer: string,
  client: UpstreamClient,
  { accounts, state, now }: { accounts: Accounts; state: StoreState; now: () => Date },
): Provider {
  return new Provider(issuer, {
    ...protocol,
    adapter: createMapAdapter(now),
    jwks: { keys: state.signingKeys },
    cookies: {
      keys: state.cookieKeys,
      // Cookies are shared by every port of a host, so the names must not be another provider's.
      names: {
        session: 'demo_store_op',
        interaction: 'demo_store_op_interaction',
        resume: 'demo_store_op_resume',
      },
    },
    clients: [
      {
        client_id: client.clientId,
        client_secret: client.clientSecret,
        redirect_uris: client.redirectUris,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
    findAccount(_ctx, sub) {
      const account = accounts.find(sub)
      if (!account) return undefined
      const { name, email, emailVerified } = account
      return { accountId: sub, claims: () => ({ sub, name, email, email_verified: emailVerified }) }
    },
  })
}

/** Everything about the provider that no deployment of the demo changes. */
const protocol: Configuration = {
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  responseTypes: ['code'],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  // As the large providers do: name and e-mail stand in the ID token, not only in userinfo.
  conformIdTokenClaims: false,
  // RFC 9700 section 2.1.1: PKCE for confidential clients as well.
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: sendSignOutPage,
      postLogoutSuccessSource: sendSignedOut,
    },
  },
  interactions: {
    policy: promptPolicy(),
    url: (_ctx, interaction) => `${interactionPath}/${interaction.uid}`,
  },
  renderError: sendEngineError,
  routes: {
    authorization: '/op/auth',
    token: '/op/token',
    userinfo: '/op/me',
    jwks: '/op/jwks',
    revocation: '/op/token/revocation',
    end_session: '/op/session/end',
    pushed_authorization_request: '/op/request',
  },
  ttl: {
    AccessToken: 10 * minute,
    AuthorizationCode: minute,
    IdToken: 10 * minute,
    Interaction: 30 * minute,
    Session: 14 * day,
    Grant: 60 * day,
    RefreshToken: 60 * day,
  },
}

/** The usual prompts and `select_account`, so that a caller can offer another account of this store. */
function promptPolicy() {
  const policy = interactionPolicy.base()
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0)
  return policy
}

/** Hands the provider's own paths over to it; it answers on the raw response. */
export function mountUpstream(provider: Provider): Middleware {
  const answer = provider.callback()
  return async (ctx: Context, next) => {
    if (!ctx.path.startsWith('/op/') && !ctx.path.startsWith('/.well-known/')) return next()
    ctx.respond = false
    await answer(ctx.req, ctx.res)
  }
}
