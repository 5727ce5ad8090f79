import { decodeJwt, decodeProtectedHeader, errors, importJWK, type JWTPayload, jwtVerify } from 'jose'
import { isEqual } from './client-authentication.ts'
import { lifetimeSeconds } from './lifetimes.ts'
import { apiRefusal, authenticationRefusal, oauthRefusal } from './refusal.ts'
import { findChannel, nowMs, nowSeconds, randomHex, type Simulator } from './simulator.ts'
import type { Channel, ChannelToken } from './state.ts'
import { bearerOf, isLive, opaqueJws } from './user-tokens.ts'

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const liveTokenLimit = 30

/** Channel access token v2.1: a private key instead of the secret, and a life of the caller's choice. */
export async function issueAssertionToken(sim: Simulator, form: URLSearchParams) {
  const { channel, claims } = await readAssertion(sim, form)
  if (liveTokens(sim, channel, 'v2.1').length >= liveTokenLimit) {
    throw apiRefusal(400, 'The maximum number of access tokens has already been issued')
  }
  const life = claims.token_exp
  if (typeof life !== 'number' || life <= 0 || life > lifetimeSeconds.channelToken) {
    throw oauthRefusal('invalid_client', 'Invalid token_exp')
  }
  const token = await issueChannelToken(sim, channel, 'v2.1', life)
  return { access_token: token.token, token_type: 'Bearer', expires_in: life, key_id: token.keyId }
}

/**
 * Stateless: no limit on their number, and no way to revoke one.
 * @see https://developers.line.biz/en/docs/basics/channel-access-token/
 */
export async function issueStatelessToken(sim: Simulator, form: URLSearchParams) {
  const invalid = oauthRefusal('invalid_request', "Invalid 'client_credentials'.")
  if (form.get('grant_type') !== 'client_credentials') throw invalid
  const channel = form.has('client_assertion')
    ? (await readAssertion(sim, form)).channel
    : findChannelBySecret(sim, form)
  if (!channel) throw invalid
  const token = await issueChannelToken(sim, channel, 'stateless', lifetimeSeconds.statelessChannelToken)
  return {
    token_type: 'Bearer',
    access_token: token.token,
    expires_in: lifetimeSeconds.statelessChannelToken,
  }
}

/** Short-lived: the oldest gives way to the thirty-first. */
export async function issueShortLivedToken(sim: Simulator, form: URLSearchParams) {
  const channel = findChannelBySecret(sim, form)
  if (form.get('grant_type') !== 'client_credentials' || !channel) {
    throw oauthRefusal('invalid_client', 'invalid client credentials')
  }
  const [oldest, ...others] = liveTokens(sim, channel, 'short-lived')
  if (oldest && others.length + 1 >= liveTokenLimit) oldest.revoked = true
  const token = await issueChannelToken(sim, channel, 'short-lived', lifetimeSeconds.channelToken)
  return { access_token: token.token, expires_in: lifetimeSeconds.channelToken, token_type: 'Bearer' }
}

/** `GET /oauth2/v2.1/tokens/kid`: the key IDs of the live v2.1 tokens. */
export async function listKeyIds(sim: Simulator, params: URLSearchParams) {
  const { channel } = await readAssertion(sim, params)
  return { kids: liveTokens(sim, channel, 'v2.1').map(({ keyId }) => keyId) }
}

async function issueChannelToken(
  sim: Simulator,
  channel: Channel,
  kind: ChannelToken['kind'],
  lifeSeconds: number,
): Promise<ChannelToken> {
  const token: ChannelToken = {
    token: kind === 'short-lived' ? randomHex(sim, 172) : await opaqueJws(sim),
    kind,
    channelId: channel.id,
    issuedAtMs: nowMs(sim),
    expiresAtMs: nowMs(sim) + lifeSeconds * 1000,
    revoked: false,
    ...(kind === 'v2.1' && { keyId: randomHex(sim, 22) }),
  }
  sim.state.channelTokens[token.token] = token
  return token
}

function liveTokens(sim: Simulator, channel: Channel, kind: ChannelToken['kind']): ChannelToken[] {
  return Object.values(sim.state.channelTokens).filter(
    (token) => token.channelId === channel.id && token.kind === kind && isLive(sim, token),
  )
}

/** The channel and kind behind an `Authorization` header, or 401 where there is no live token of a kind asked for. */
export function getChannelBearer(
  sim: Simulator,
  authorization: string,
  kinds: ChannelToken['kind'][],
): { channel: Channel; kind: ChannelToken['kind'] } {
  const sent = bearerOf(authorization)
  const token = Object.hasOwn(sim.state.channelTokens, sent) ? sim.state.channelTokens[sent] : undefined
  const channel =
    token && isLive(sim, token) ? findChannel(sim, token.channelId) : findByLongLivedToken(sim, sent)
  const kind = token?.kind ?? 'long-lived'
  if (!channel || !kinds.includes(kind)) {
    throw authenticationRefusal(
      'invalid token. Confirm that the access token in the authorization header is valid.',
    )
  }
  return { channel, kind }
}

function findByLongLivedToken(sim: Simulator, sent: string): Channel | undefined {
  return Object.values(sim.state.channels).find(
    (channel) => channel.kind === 'messaging' && channel.longLivedToken === sent && sent !== '',
  )
}

export function findChannelBySecret(sim: Simulator, form: URLSearchParams): Channel | undefined {
  const channel = findChannel(sim, form.get('client_id') ?? undefined)
  return channel && isEqual(form.get('client_secret') ?? '', channel.secret) ? channel : undefined
}

/**
 * A client assertion signed by a key that the console knows by its `kid`.
 * @see https://developers.line.biz/en/docs/messaging-api/generate-json-web-token/
 */
async function readAssertion(
  sim: Simulator,
  form: URLSearchParams,
): Promise<{ channel: Channel; claims: JWTPayload }> {
  const refuse = (description: string) => oauthRefusal('invalid_client', description)
  if (form.get('client_assertion_type') !== assertionType) throw refuse('Invalid client_assertion_type')
  const { kid, claims } = decodeAssertion(form.get('client_assertion') ?? '')
  const owner = Object.values(sim.state.channels).find((channel) =>
    channel.assertionKeys.some((key) => key.kid === kid),
  )
  const jwk = owner?.assertionKeys.find((key) => key.kid === kid)
  if (!owner || !jwk) throw apiRefusal(404, 'Cannot find channel key that satisfies the conditions')
  if (claims.iss !== owner.id || claims.sub !== owner.id) throw refuse('iss and clientId of key do not match')

  const aheadSeconds = (claims.exp ?? 0) - nowSeconds(sim)
  if (aheadSeconds <= 0 || aheadSeconds > lifetimeSeconds.clientAssertion) throw refuse('Invalid exp')
  try {
    await jwtVerify(form.get('client_assertion') ?? '', await importJWK(jwk, 'RS256'), {
      algorithms: ['RS256'],
      audience: 'https://api.line.me/',
      currentDate: new Date(nowMs(sim)),
    })
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    throw Object.assign(refuse('Invalid client_assertion'), { cause: error })
  }
  return { channel: owner, claims }
}

function decodeAssertion(assertion: string): { kid: string | undefined; claims: JWTPayload } {
  try {
    return { kid: decodeProtectedHeader(assertion).kid, claims: decodeJwt(assertion) }
  } catch (error) {
    throw Object.assign(oauthRefusal('invalid_client', 'Invalid client_assertion'), { cause: error })
  }
}
