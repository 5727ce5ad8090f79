import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import Provider, { type ClientMetadata, type JWK as SigningKey } from 'oidc-provider'
import { createMapAdapter } from '../../src/demo/store/map-adapter.ts'
import { type Misbehavior, misbehave } from './misbehavior.ts'

/** What the provider does when a relying party sends somebody: all of it may change during a test. */
export interface UpstreamBehavior {
  /** Who signs in, without being asked. */
  subject: string
  /** Every claim it tells, whatever the scope, in the ID token and in userinfo. */
  claims: Record<string, unknown>
  decline: boolean
  /** What it does wrong. */
  wrong: Misbehavior
}

export interface UpstreamProvider {
  issuer: string
  behavior: UpstreamBehavior
  /** The paths of the requests it got, in order. */
  requests: string[]
  /** An ID token as a native application gets it, with these claims and this header on top; or of another key. */
  mintIdToken(claims?: Record<string, unknown>, header?: Record<string, string>, key?: JWK): Promise<string>
  /** Takes back everything that was granted, as a member does on a "connected services" page. */
  revokeEverything(): Promise<void>
  close(): Promise<void>
}

/** A real OpenID Provider that answers every authorization at once; it belongs to one test. */
export async function startUpstreamProvider(options: {
  clients: ClientMetadata[]
  behavior?: Partial<UpstreamBehavior>
  port?: number
}): Promise<UpstreamProvider> {
  const server = createServer().listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  const issuer = `http://127.0.0.1:${address.port}`
  const behavior: UpstreamBehavior = {
    subject: 'member-1',
    claims: {},
    decline: false,
    wrong: {},
    ...options.behavior,
  }
  const key = await createSigningKey()
  const requests: string[] = []

  const grantIds = new Set<string>()
  const provider = createProvider(issuer, options.clients, behavior, key)
  provider.on('grant.saved', (grant) => grantIds.add(grant.jti))
  const answer = provider.callback()
  server.on('request', (request, response) => {
    const { pathname } = new URL(request.url ?? '/', issuer)
    requests.push(pathname)
    if (pathname === '/auth') forgetSession(request, response)
    if (misbehave(behavior.wrong, key, request, response)) return
    if (!pathname.startsWith('/interaction/')) {
      answer(request, response)
      return
    }
    answerInteraction(provider, behavior, request, response).catch((error: Error) => {
      response.writeHead(500).end(error.stack)
    })
  })
  return {
    issuer,
    behavior,
    requests,
    async mintIdToken(claims = {}, header = {}, signer = key) {
      const iat = Math.floor(Date.now() / 1000)
      const good = {
        iss: issuer,
        sub: behavior.subject,
        aud: 'hitotsu',
        iat,
        exp: iat + 600,
        jti: randomUUID(),
      }
      const { alg = 'ES256' } = header
      return new SignJWT(JSON.parse(JSON.stringify({ ...good, ...claims })))
        .setProtectedHeader({ alg, ...header })
        .sign(await importJWK(signer, alg))
    },
    async revokeEverything() {
      for (const id of grantIds) await (await provider.Grant.find(id))?.destroy()
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** Nobody is signed in here before: who signs in is what the test says, every time. */
function forgetSession(request: IncomingMessage, response: ServerResponse): void {
  delete request.headers.cookie
  for (const name of ['_session', '_session.sig'])
    response.appendHeader('set-cookie', `${name}=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT`)
}

async function createSigningKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }
}

function createProvider(
  issuer: string,
  clients: ClientMetadata[],
  behavior: UpstreamBehavior,
  key: JWK,
): Provider {
  const { kty = 'EC' } = key
  const signingKey: SigningKey = { ...key, kty }
  return new Provider(issuer, {
    clients,
    adapter: createMapAdapter(() => new Date()),
    jwks: { keys: [signingKey] },
    cookies: { keys: ['a key of one test'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    conformIdTokenClaims: false,
    scopes: ['openid', 'offline_access', 'profile', 'email', 'linked_accounts'],
    claims: {
      openid: ['sub'],
      profile: ['name'],
      email: ['email', 'email_verified'],
      linked_accounts: ['linked_accounts'],
    },
    ttl: { AccessToken: 600, Grant: 3600, IdToken: 600, Interaction: 600, RefreshToken: 3600, Session: 3600 },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: () => true },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ ...behavior.claims, sub }) }),
  })
}

async function answerInteraction(
  provider: Provider,
  behavior: UpstreamBehavior,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  if (behavior.decline) {
    const error = { error: 'access_denied', error_description: 'the member declined' }
    return provider.interactionFinished(request, response, error)
  }
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: behavior.subject } })
  }
  const accountId = session?.accountId ?? behavior.subject
  const known = grantId ? await provider.Grant.find(grantId) : undefined
  const grant = known ?? new provider.Grant({ accountId, clientId: String(params.client_id) })
  grant.addOIDCScope(String(params.scope))
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
}
