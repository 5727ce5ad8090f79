import { Auth, type AuthConfig } from '@auth/core'
import line from '@auth/core/providers/line'
import { decodeJwt } from 'jose'
import * as openid from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LineSimulator } from '../../src/demo/line/server.ts'
import {
  callbackUrl,
  loginChannelId,
  loginChannelOf,
  openLineBrowser,
  startSimulator,
} from '../support/line-simulator.ts'

let simulator: LineSimulator

beforeAll(async () => {
  simulator = await startSimulator()
})
afterAll(() => simulator.close())

/** What a person does at LINE: chooses who they are, and agrees to everything. */
async function approve(authorizationUrl: string): Promise<URL> {
  const browser = openLineBrowser(simulator.url)
  const login = await browser.open(authorizationUrl)
  let page = await browser.submit(login, '/login', { person: 'person-a' })
  if (page.html.includes('/consent"')) {
    page = await browser.submit(page, '/consent', { decision: 'allow', email: 'on' })
  }
  return new URL(page.url)
}

describe('openid-client', () => {
  const discover = (metadata: Partial<openid.ClientMetadata>) =>
    openid.discovery(new URL(simulator.url), loginChannelId, metadata, undefined, {
      execute: [openid.allowInsecureRequests],
    })

  async function signIn(config: openid.Configuration) {
    const [pkceCodeVerifier, expectedState, expectedNonce] = [
      openid.randomPKCECodeVerifier(),
      openid.randomState(),
      openid.randomNonce(),
    ]
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: callbackUrl,
      scope: 'openid profile email',
      state: expectedState,
      nonce: expectedNonce,
      code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    })
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
    return openid.authorizationCodeGrant(config, await approve(url.href), checks)
  }

  test('refuses the ID token unless HS256 was announced, as with LINE itself', async () => {
    const config = await discover({ client_secret: loginChannelOf(simulator).secret })
    await expect(signIn(config)).rejects.toMatchObject({ code: 'OAUTH_INVALID_RESPONSE' })
  })

  test('discovers, signs in with PKCE and nonce, reads userinfo, refreshes and revokes', async () => {
    const config = await discover({
      client_secret: loginChannelOf(simulator).secret,
      id_token_signed_response_alg: 'HS256',
    })
    const tokens = await signIn(config)
    const claims = tokens.claims()
    expect(claims).toMatchObject({ iss: simulator.url, email: 'line-person-a@example.com' })

    const info = await openid.fetchUserInfo(config, tokens.access_token, claims?.sub ?? '')
    expect(info.name).toBe('LINE Person A')
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '')
    expect(refreshed.refresh_token).toBe(tokens.refresh_token)
  })

  test('works by hand with the real issuer name and only the base URLs changed', async () => {
    const named = await startSimulator({}, undefined, 'https://access.line.me')
    try {
      const config = new openid.Configuration(
        {
          issuer: 'https://access.line.me',
          authorization_endpoint: `${named.url}/oauth2/v2.1/authorize`,
          token_endpoint: `${named.url}/oauth2/v2.1/token`,
        },
        loginChannelId,
        { client_secret: loginChannelOf(named).secret, id_token_signed_response_alg: 'HS256' },
      )
      openid.allowInsecureRequests(config)
      const state = openid.randomState()
      const url = openid.buildAuthorizationUrl(config, { redirect_uri: callbackUrl, scope: 'openid', state })
      const browser = openLineBrowser(named.url)
      const consent = await browser.submit(await browser.open(url.href), '/login', { person: 'person-b' })
      const { url: callback } = await browser.submit(consent, '/consent', { decision: 'allow' })
      const tokens = await openid.authorizationCodeGrant(config, new URL(callback), { expectedState: state })
      expect(tokens.claims()?.iss).toBe('https://access.line.me')
    } finally {
      await named.close()
    }
  })
})

describe('Auth.js', () => {
  const origin = 'http://rp.example.com'

  /** A browser's worth of cookies between requests to Auth.js. */
  function openRelyingParty(config: AuthConfig) {
    const cookies = new Map<string, string>()
    return async (path: string, body?: Record<string, string>): Promise<Response> => {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = (await Auth(
        new Request(new URL(path, origin), {
          headers: { cookie, ...(body && { 'content-type': 'application/x-www-form-urlencoded' }) },
          ...(body && { method: 'POST', body: new URLSearchParams(body) }),
        }),
        config,
      )) as Response
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        cookies.set(name, value)
      }
      return response
    }
  }

  test('signs in with its own LINE provider, only the issuer changed, over HTTP Basic', async () => {
    const channel = loginChannelOf(simulator)
    channel.callbackUrls.push(`${origin}/auth/callback/line`)
    simulator.simulator.state.settings.clientAuth = 'basic'
    const visit = openRelyingParty({
      basePath: '/auth',
      trustHost: true,
      secret: 'a secret of the relying party, long enough',
      providers: [line({ clientId: channel.id, clientSecret: channel.secret, issuer: simulator.url })],
      callbacks: {
        jwt: ({ token, account }) => ({
          ...token,
          ...(account?.id_token && { lineIdToken: account.id_token }),
        }),
        session: ({ session, token }) => ({ ...session, lineIdToken: token.lineIdToken }),
      },
    })

    const { csrfToken } = (await (await visit('/auth/csrf')).json()) as { csrfToken: string }
    const started = await visit('/auth/signin/line', { csrfToken, callbackUrl: origin })
    const callback = await approve(started.headers.get('location') ?? '')
    expect(callback.pathname).toBe('/auth/callback/line')
    const finished = await visit(`${callback.pathname}${callback.search}`)
    expect(finished.headers.get('location')).toBe(origin)

    const session = (await (await visit('/auth/session')).json()) as Record<string, unknown>
    expect(session.user).toMatchObject({ name: 'LINE Person A', email: 'line-person-a@example.com' })
    expect(decodeJwt(String(session.lineIdToken)).iss).toBe(simulator.url)
  })
})
