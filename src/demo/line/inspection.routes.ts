import Router from '@koa/router'
import {
  findChannelBySecret,
  issueShortLivedToken,
  issueStatelessToken,
  listKeyIds,
} from './channel-tokens.ts'
import { authenticateClient, hasMobileType } from './client-authentication.ts'
import { verifyIdToken } from './id-token.ts'
import { oauthRefusal } from './refusal.ts'
import { readForm } from './request-body.ts'
import type { Simulator } from './simulator.ts'
import { assertVerifiable, isLive, remainingSeconds } from './user-tokens.ts'

/** Discovery, keys, and what becomes of a token after it was issued. */
export function inspectionRoutes(sim: Simulator): Router {
  const router = new Router()

  router.get('/.well-known/openid-configuration', (ctx) => {
    ctx.body = discoveryDocument(sim)
  })

  router.get('/oauth2/v2.1/certs', (ctx) => {
    ctx.body = { keys: sim.state.signingKeys.map(({ publicJwk }) => publicJwk) }
  })

  router.get('/oauth2/v2.1/verify', (ctx) => {
    ctx.body = describeToken(sim, new URLSearchParams(ctx.querystring).get('access_token') ?? '')
  })

  router.post('/oauth2/v2.1/verify', async (ctx) => {
    const form = await readForm(ctx)
    const [idToken, clientId] = [form.get('id_token'), form.get('client_id')]
    if (!idToken) throw oauthRefusal('invalid_request', "'id_token' is not specified.")
    if (!clientId) throw oauthRefusal('invalid_request', "'client_id' is not specified.")
    const [nonce, userId] = [form.get('nonce'), form.get('user_id')]
    ctx.body = await verifyIdToken(sim, {
      idToken,
      clientId,
      ...(nonce !== null && { nonce }),
      ...(userId !== null && { userId }),
    })
  })

  router.post('/oauth2/v2.1/revoke', async (ctx) => {
    const form = await readForm(ctx)
    // The path is shared: a channel access token v2.1 is revoked with the secret of any kind of channel.
    const channel = findChannelBySecret(sim, form) ?? authenticateClient(ctx, sim, form, hasMobileType)
    revoke(sim, channel.id, form.get('access_token') ?? '')
    ctx.status = 200
    ctx.body = ''
  })

  channelTokenRoutes(router, sim)
  return router
}

function channelTokenRoutes(router: Router, sim: Simulator): void {
  router.get('/oauth2/v2.1/tokens/kid', async (ctx) => {
    ctx.body = await listKeyIds(sim, new URLSearchParams(ctx.querystring))
  })

  router.post('/oauth2/v3/token', async (ctx) => {
    ctx.body = await issueStatelessToken(sim, await readForm(ctx))
  })

  router.post('/v2/oauth/accessToken', async (ctx) => {
    ctx.body = await issueShortLivedToken(sim, await readForm(ctx))
  })

  router.post('/v2/oauth/verify', async (ctx) => {
    const token = sim.state.channelTokens[(await readForm(ctx)).get('access_token') ?? '']
    if (!token || !isLive(sim, token)) throw oauthRefusal('invalid_request', 'access token expired')
    ctx.body = { client_id: token.channelId, expires_in: remainingSeconds(sim, token), scope: 'P CM' }
  })

  router.post('/v2/oauth/revoke', async (ctx) => {
    const token = sim.state.channelTokens[(await readForm(ctx)).get('access_token') ?? '']
    if (token?.kind === 'short-lived') token.revoked = true
    ctx.status = 200
    ctx.body = ''
  })
}

function describeToken(sim: Simulator, sent: string) {
  const { accessTokens, channelTokens } = sim.state
  const known = Object.hasOwn(accessTokens, sent) ? accessTokens[sent] : undefined
  const channelToken = Object.hasOwn(channelTokens, sent) ? channelTokens[sent] : undefined
  const token = assertVerifiable(sim, known ?? channelToken)
  return {
    scope: known ? known.scopes.join(' ') : '',
    client_id: token.channelId,
    expires_in: remainingSeconds(sim, token),
  }
}

/** Ends a user's token or a v2.1 channel token of this channel; silent about any other (RFC 7009 section 2.2). */
function revoke(sim: Simulator, channelId: string, sent: string): void {
  const { accessTokens, channelTokens } = sim.state
  const userToken = Object.hasOwn(accessTokens, sent) ? accessTokens[sent] : undefined
  const channelToken = Object.hasOwn(channelTokens, sent) ? channelTokens[sent] : undefined
  const token = userToken ?? (channelToken?.kind === 'v2.1' ? channelToken : undefined)
  if (token?.channelId === channelId) token.revoked = true
}

/** The members LINE is known to publish: ES256 alone, although web login signs with HS256. */
function discoveryDocument({ issuer, url }: Simulator) {
  return {
    issuer,
    authorization_endpoint: `${url}/oauth2/v2.1/authorize`,
    token_endpoint: `${url}/oauth2/v2.1/token`,
    revocation_endpoint: `${url}/oauth2/v2.1/revoke`,
    userinfo_endpoint: `${url}/oauth2/v2.1/userinfo`,
    jwks_uri: `${url}/oauth2/v2.1/certs`,
    scopes_supported: ['openid', 'profile', 'email'],
    response_types_supported: ['code'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['ES256'],
    code_challenge_methods_supported: ['S256'],
  }
}
