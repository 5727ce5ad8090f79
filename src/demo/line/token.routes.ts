import { createHash } from 'node:crypto'
import Router, { type RouterContext } from '@koa/router'
import { issueAssertionToken } from './channel-tokens.ts'
import { authenticateClient, hasMobileType, isEqual } from './client-authentication.ts'
import { type IdTokenClaims, signIdToken } from './id-token.ts'
import { oauthRefusal } from './refusal.ts'
import { readForm } from './request-body.ts'
import { findPerson, nowMs, type Simulator } from './simulator.ts'
import type { AuthorizationCode, LoginChannel, RefreshToken, UserAccessToken } from './state.ts'
import { isLive, issueAccessToken, issueRefreshToken, remainingSeconds } from './user-tokens.ts'

/** One path for login codes, refreshing and channel access tokens v2.1, told apart by `grant_type`. */
export function tokenRoutes(sim: Simulator): Router {
  const router = new Router()
  router.post('/oauth2/v2.1/token', async (ctx) => {
    const form = await readForm(ctx)
    ctx.set('cache-control', 'no-store')
    switch (form.get('grant_type')) {
      case 'authorization_code':
        ctx.body = await exchangeCode(ctx, sim, form)
        return
      case 'refresh_token':
        ctx.body = await refresh(ctx, sim, form)
        return
      case 'client_credentials':
        ctx.body = await issueAssertionToken(sim, form)
        return
      case null:
        throw missing('grant_type')
      default:
        throw oauthRefusal('unsupported_grant_type', 'unsupported grant_type')
    }
  })
  return router
}

function missing(field: string) {
  return oauthRefusal('invalid_request', `'${field}' is not specified.`)
}

async function exchangeCode(ctx: RouterContext, sim: Simulator, form: URLSearchParams) {
  const sent = form.get('code')
  if (!sent) throw missing('code')
  const code = Object.hasOwn(sim.state.codes, sent) ? sim.state.codes[sent] : undefined
  const usable = code !== undefined && code.spentAtMs === undefined && code.expiresAtMs > nowMs(sim)
  // A code that was presented is spent, also when this exchange fails.
  if (code) code.spentAtMs ??= nowMs(sim)

  // The LIFF SDK holds no secret; PKCE alone binds its code.
  const channel = authenticateClient(ctx, sim, form, () => code?.liffId !== undefined)
  if (!form.get('redirect_uri') && !code?.liffId) throw missing('redirect_uri')
  if (!code || !usable || code.channelId !== channel.id) {
    throw oauthRefusal('invalid_grant', 'invalid authorization code')
  }
  if ((form.get('redirect_uri') ?? code.redirectUri) !== code.redirectUri) {
    throw oauthRefusal('invalid_grant', 'redirect_uri does not match')
  }
  assertVerifier(code, form.get('code_verifier'))
  return answerCode(sim, channel, code, form.get('id_token_key_type') === 'JWK' ? 'ES256' : 'HS256')
}

/** RFC 7636 section 4.6; a verifier without a challenge is refused too (OAuth 2.1 section 4.1.3). */
function assertVerifier({ codeChallenge }: AuthorizationCode, verifier: string | null): void {
  if (codeChallenge === undefined && verifier === null) return
  if (verifier === null) throw missing('code_verifier')
  const isWellFormed = /^[A-Za-z0-9\-._~]{43,128}$/.test(verifier)
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  if (!isWellFormed || !isEqual(challenge, codeChallenge ?? '')) {
    throw oauthRefusal('invalid_grant', 'invalid code_verifier')
  }
}

async function answerCode(
  sim: Simulator,
  channel: LoginChannel,
  code: AuthorizationCode,
  algorithm: 'HS256' | 'ES256',
) {
  const person = findPerson(sim, code.personId)
  if (!person) throw oauthRefusal('invalid_grant', 'invalid authorization code')
  const accessToken = await issueAccessToken(sim, code, code.liffId ? 'liff' : 'web')
  const refreshToken = code.liffId ? undefined : issueRefreshToken(sim, code)
  const claims: IdTokenClaims = code
  return {
    ...tokenAnswer(sim, accessToken, refreshToken),
    ...(code.scopes.includes('openid') && {
      id_token: await signIdToken(sim, channel, person, claims, algorithm),
    }),
  }
}

/** `scope` never names `email`, even when it was granted. */
function tokenAnswer(sim: Simulator, accessToken: UserAccessToken, refreshToken: RefreshToken | undefined) {
  return {
    access_token: accessToken.token,
    token_type: 'Bearer',
    ...(refreshToken && { refresh_token: refreshToken.token }),
    expires_in: remainingSeconds(sim, accessToken),
    scope: accessToken.scopes.join(' '),
  }
}

async function refresh(ctx: RouterContext, sim: Simulator, form: URLSearchParams) {
  const sent = form.get('refresh_token')
  if (!sent) throw missing('refresh_token')
  const channel = authenticateClient(ctx, sim, form, hasMobileType)
  const refreshToken = Object.hasOwn(sim.state.refreshTokens, sent)
    ? sim.state.refreshTokens[sent]
    : undefined
  if (!refreshToken || !isLive(sim, refreshToken) || refreshToken.channelId !== channel.id) {
    throw oauthRefusal('invalid_grant', 'invalid refresh token')
  }
  return tokenAnswer(sim, await issueAccessToken(sim, refreshToken, 'web'), refreshToken)
}
