import { z } from 'zod'
import type { DeauthorizeRequest, UpstreamKind } from '../connector.ts'

/**
 * LINE Login v2.1 is an OpenID Provider; this is the whole of what is special about it.
 * @see https://developers.line.biz/en/docs/line-login/integrate-line-login/
 */
export const lineKind: UpstreamKind = {
  protocol: 'oidc',
  title: 'LINE',
  documentation: 'https://developers.line.biz/en/docs/line-login/integrate-line-login/',
  issuer: 'https://access.line.me',
  settings: {
    scope: 'openid profile email',
    clientAuthentication: 'client_secret_post',
    // Web login signs with the channel secret, although discovery names ES256 alone.
    idTokenSigningAlg: 'HS256',
    // LINE has no email_verified claim, so its address is never proof of anything.
    trustEmail: false,
    authorizationParams: { bot_prompt: 'normal' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: false,
  provesAfresh: true,
  withdrawalNotice: 'line_webhook',
  // Auto login may come back in another browser; the second try must not use it again (How to handle auto login failure).
  authorizationParams: ({ isRetry }): Record<string, string> =>
    isRetry ? { disable_auto_login: 'true' } : {},
  deauthorize,
}

/**
 * Ends the member's consent at LINE, which also ends every token of it; its guidelines ask for this when a link ends.
 * The call is made as the channel (stateless channel token). A consent that is gone already counts as ended.
 * @see https://developers.line.biz/en/reference/line-login/#deauthorize
 */
async function deauthorize({
  connection,
  clientSecret,
  tokenEndpoint,
  tokens,
  fetch,
}: DeauthorizeRequest): Promise<void> {
  const channelToken = await postForm(fetch, new URL('/oauth2/v3/token', tokenEndpoint), {
    grant_type: 'client_credentials',
    client_id: connection.clientId,
    client_secret: clientSecret,
  })
  const { access_token: bearer } = z.object({ access_token: z.string() }).parse(channelToken)

  const live = tokens.refreshToken
    ? await refresh({ connection, clientSecret, tokenEndpoint, tokens, fetch }, tokens.refreshToken)
    : tokens.accessToken
  const response = await fetch(new URL('/user/v1/deauthorize', tokenEndpoint), {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify({ userAccessToken: live }),
  })
  await response.text()
  if (response.status !== 204 && response.status !== 400)
    throw new Error(`LINE deauthorize answered ${response.status}`)
}

/** Deauthorizing takes a valid access token; a stored one may have run out. A dead refresh token leaves the old one to try. */
async function refresh(
  { connection, clientSecret, tokenEndpoint, tokens, fetch }: Omit<DeauthorizeRequest, 'subject'>,
  refreshToken: string,
): Promise<string> {
  const answer = await postForm(fetch, new URL(tokenEndpoint), {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: connection.clientId,
    client_secret: clientSecret,
  })
  return z.object({ access_token: z.string() }).safeParse(answer).data?.access_token ?? tokens.accessToken
}

/** Rejects when LINE cannot answer now, so that the caller tries again later. */
async function postForm(
  fetch: DeauthorizeRequest['fetch'],
  url: URL,
  form: Record<string, string>,
): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) })
  if (response.status === 429 || response.status >= 500)
    throw new Error(`LINE answered ${response.status} at ${url.pathname}`)
  return response.json()
}
