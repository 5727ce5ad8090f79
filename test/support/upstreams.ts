import type { NewConnection } from '../../src/connections/connection.ts'
import { defaultSeed } from '../../src/demo/line/seed.ts'
import { type LineSimulator, startLineSimulator } from '../../src/demo/line/server.ts'
import { startTestApp, type TestApp, type TestAppOptions } from './app.ts'
import { givenConnection } from './given.ts'
import { loginChannelOf } from './line-simulator.ts'
import { type OAuth2Behavior, type OAuth2Server, startOAuth2Server } from './oauth2-server.ts'
import { startUpstreamProvider, type UpstreamProvider } from './upstream-provider.ts'

/** A server behind a proxy, so that each visitor may have an address of their own. */
export function startLinkingApp(options: TestAppOptions = {}): Promise<TestApp & { privateHosts: string[] }> {
  const privateHosts: string[] = []
  const env = { TRUST_PROXY: '1', TERMS_VERSION: '2026-04', ...options.env }
  return startTestApp({ ...options, env, privateHosts }).then((server) =>
    Object.assign(server, { privateHosts }),
  )
}

/** A real OpenID Provider and the connection to it, which is found by discovery. */
export async function givenUpstream(
  server: TestApp & { privateHosts: string[] },
  input: Partial<NewConnection> & { id: string },
): Promise<UpstreamProvider> {
  const secret = 'a secret of one test'
  const upstream = await startUpstreamProvider({
    clients: [
      {
        client_id: 'hitotsu',
        client_secret: secret,
        redirect_uris: [`${server.issuer}/connections/${input.id}/callback`],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: input.kind === 'line' ? 'client_secret_post' : 'client_secret_basic',
      },
    ],
  })
  server.privateHosts.push(new URL(upstream.issuer).host)
  await givenConnection(server, { issuer: upstream.issuer, clientSecret: secret, ...input })
  return upstream
}

/** LINE, and the connection to it as an operator would make it. */
export async function givenLine(server: TestApp & { privateHosts: string[] }): Promise<LineSimulator> {
  const seed = defaultSeed([`${server.issuer}/connections/line/callback`])
  const line = await startLineSimulator({ port: 0, seed })
  server.privateHosts.push(new URL(line.url).host)
  const { id: clientId, secret: clientSecret } = loginChannelOf(line)
  const name = { ja: 'LINE', en: 'LINE' }
  await givenConnection(server, { id: 'line', kind: 'line', name, issuer: line.url, clientId, clientSecret })
  return line
}

/** An OAuth 2.0 server without OpenID Connect, and the connection to it, which an operator describes address by address. */
export async function givenOAuth2(
  server: TestApp & { privateHosts: string[] },
  { id, ...input }: Partial<NewConnection> & { id: string },
  behavior: Partial<OAuth2Behavior> = {},
): Promise<OAuth2Server> {
  const secret = 'a secret of one test'
  const upstream = await startOAuth2Server({ id: 'hitotsu', secret }, behavior)
  server.privateHosts.push(new URL(upstream.origin).host)
  await givenConnection(server, {
    id,
    kind: 'oauth2',
    issuer: upstream.origin,
    clientSecret: secret,
    ...input,
    settings: {
      endpoints: endpointsAt(upstream.origin),
      claims: { subject: 'id', subjectType: 'text', name: 'name', email: 'email' },
      ...input.settings,
    },
  })
  return upstream
}

export const endpointsAt = (origin: string) => ({
  authorization: `${origin}/authorize`,
  token: `${origin}/token`,
  userinfo: `${origin}/me`,
  revocation: `${origin}/revoke`,
})
