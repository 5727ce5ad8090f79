import * as client from 'openid-client'
import type { Outbound } from '../http/outbound.ts'
import type { RefreshOutcome, UpstreamTokens } from './connector.ts'
import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'

interface TokenResponse {
  access_token: string
  refresh_token?: string | undefined
  expires_in?: number | undefined
}

/** What is kept of a token response. */
export function toTokens(response: TokenResponse, now: Date): UpstreamTokens {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn } = response
  const expiresAt =
    expiresIn === undefined ? undefined : Math.floor(now.getTime() / 1000) + Math.floor(expiresIn)
  return { accessToken, ...(refreshToken && { refreshToken }), ...(expiresAt !== undefined && { expiresAt }) }
}

/**
 * RFC 6749 section 6. The old refresh token stays where no new one comes. Rejects when the upstream could not be asked
 * or did not decide: only its `invalid_grant` says that it stands behind the tokens no more.
 */
export async function refreshTokens(
  configuration: client.Configuration,
  { refreshToken }: { refreshToken: string },
  now: Date,
): Promise<RefreshOutcome> {
  try {
    const response = await client.refreshTokenGrant(configuration, refreshToken)
    return { outcome: 'refreshed', tokens: { refreshToken, ...toTokens(response, now) } }
  } catch (error) {
    if (error instanceof client.ResponseBodyError && error.error === 'invalid_grant')
      return { outcome: 'revoked' }
    throw error
  }
}

/** Ends tokens and what they stand for at the upstream, as its kind does it. Rejects when it could not be told now. */
export async function endTokens(
  configuration: client.Configuration,
  request: {
    connection: Connection
    clientSecret: string
    subject: string
    tokens: UpstreamTokens
    fetch: Outbound
  },
): Promise<void> {
  const { connection, tokens } = request
  const { token_endpoint: tokenEndpoint, revocation_endpoint: revocationEndpoint } =
    configuration.serverMetadata()
  const { deauthorize } = kindOf(connection.kind)
  if (deauthorize && tokenEndpoint) return deauthorize({ ...request, tokenEndpoint })
  // RFC 7009 section 2.1: revoking the refresh token ends the whole grant.
  if (revocationEndpoint)
    await client.tokenRevocation(configuration, tokens.refreshToken ?? tokens.accessToken)
}
