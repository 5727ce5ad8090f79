import * as oidc from 'openid-client'
import type { TestApp } from './app.ts'
import type { Browser, Page } from './browser.ts'
import type { GivenClient, GivenMember } from './given.ts'

/** A relying party that speaks through openid-client, which checks every answer as a certified client does. */
export interface RelyingParty extends GivenClient {
  config: oidc.Configuration
}

/** One authorization request, and what its answer is checked against. */
export interface Attempt {
  url: URL
  state: string
  nonce: string
  codeVerifier: string
}

export type Tokens = Awaited<ReturnType<typeof oidc.authorizationCodeGrant>>

export async function relyingParty(
  { issuer }: Pick<TestApp, 'issuer'>,
  client: GivenClient,
  authentication: oidc.ClientAuth = client.secret ? oidc.ClientSecretBasic(client.secret) : oidc.None(),
  metadata: Partial<oidc.ClientMetadata> = {},
): Promise<RelyingParty> {
  // OIDC Core 3.1.3.7 (6) lets TLS stand in for the signature; there is none here, so signatures are checked.
  const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]
  const config = await oidc.discovery(new URL(issuer), client.id, metadata, authentication, { execute })
  return { ...client, config }
}

/** An authorization request with everything a good one has; `parameters` go on top, an empty one is left out. */
export async function begin(
  { config, redirectUri }: RelyingParty,
  parameters: Record<string, string> = {},
): Promise<Attempt> {
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  const codeVerifier = oidc.randomPKCECodeVerifier()
  const { scope = 'openid' } = parameters
  const all = {
    redirect_uri: redirectUri,
    scope,
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    // OIDC Core 11: offline_access takes a prompt for consent.
    ...(scope.split(' ').includes('offline_access') && { prompt: 'consent' }),
    ...parameters,
  }
  const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  return { url: oidc.buildAuthorizationUrl(config, sent), state, nonce, codeVerifier }
}

/** Goes where a request leads and does there what a willing member does, up to the relying party's address. */
export async function authorize(
  { redirectUri }: Pick<RelyingParty, 'redirectUri'>,
  browser: Browser,
  member: Pick<GivenMember, 'email' | 'password'>,
  url: URL,
): Promise<URL> {
  browser.stopAt(redirectUri)
  let page = await browser.open(url)
  for (let steps = 0; page.status !== 0 && steps < 3; steps += 1) page = await agree(browser, page, member)
  if (page.status !== 0) throw new Error(`the browser is stuck at ${page.url.pathname} (${page.status})`)
  return page.url
}

function agree(browser: Browser, page: Page, { email, password }: Pick<GivenMember, 'email' | 'password'>) {
  if (page.url.pathname.endsWith('/consent')) return browser.submit(page, '/consent')
  return browser.submit(page, '/sign-in', { email, password })
}

/** Exchanges the code that came back, checking state, nonce, issuer, verifier and ID token. */
export function redeem({ config }: RelyingParty, callback: URL, attempt: Attempt): Promise<Tokens> {
  return oidc.authorizationCodeGrant(config, callback, {
    pkceCodeVerifier: attempt.codeVerifier,
    expectedState: attempt.state,
    expectedNonce: attempt.nonce,
    idTokenExpected: true,
  })
}

/** From the request to the tokens. */
export async function signIn(
  party: RelyingParty,
  browser: Browser,
  member: Pick<GivenMember, 'email' | 'password'>,
  parameters: Record<string, string> = {},
): Promise<Tokens> {
  const attempt = await begin(party, parameters)
  return redeem(party, await authorize(party, browser, member, attempt.url), attempt)
}
