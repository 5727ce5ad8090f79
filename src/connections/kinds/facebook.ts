import type { DeauthorizeRequest, UpstreamKind } from '../connector.ts'

/**
 * Facebook Login: OAuth 2.0 and the Graph API. The id is one of our application's own. It says nothing of whether an
 * address is verified.
 * @see https://developers.facebook.com/documentation/facebook-login/guides/advanced/manual-flow
 */
export const facebookKind: UpstreamKind = {
  protocol: 'oauth2',
  title: 'Facebook',
  documentation: 'https://developers.facebook.com/documentation/facebook-login/guides/advanced/manual-flow',
  issuer: 'https://www.facebook.com',
  settings: {
    scope: 'public_profile email',
    clientAuthentication: 'client_secret_post',
    trustEmail: false,
    authorizationParams: {},
    endpoints: {
      authorization: 'https://www.facebook.com/v25.0/dialog/oauth',
      token: 'https://graph.facebook.com/v25.0/oauth/access_token',
      userinfo: 'https://graph.facebook.com/v25.0/me?fields=id,name,email',
    },
    claims: { subject: 'id', subjectType: 'text', name: 'name', email: 'email' },
    disclosure: 'subject',
  },
  asks: {},
  vouchesForEmail: false,
  provesAfresh: false,
  withdrawalNotice: 'deauthorize_callback',
  deauthorize,
}

/**
 * Takes every permission back, as the application, so that it works when the member's token has run out. One that is
 * gone already (an error that is not a passing one) counts as taken back.
 * @see https://developers.facebook.com/docs/graph-api/reference/user/permissions/
 */
async function deauthorize({ connection, clientSecret, subject, fetch }: DeauthorizeRequest): Promise<void> {
  const { userinfo } = connection.settings.endpoints ?? {}
  const response = await fetch(new URL(`${encodeURIComponent(subject)}/permissions`, userinfo), {
    method: 'DELETE',
    headers: { authorization: `Bearer ${connection.clientId}|${clientSecret}` },
  })
  await response.text()
  if (response.status === 429 || response.status >= 500)
    throw new Error(`Facebook answered ${response.status} to taking back permissions`)
}
