import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import argon2 from 'argon2'
import { exportJWK, generateKeyPair } from 'jose'
import { type ClientMetadata, type Configuration, type JWK, Provider } from 'oidc-provider'
import { routes } from '../../src/oidc/routes.ts'
import { runProcess } from './child.ts'

export interface BareSetup {
  port: number
  clients: ClientMetadata[]
  passwordHash: string
  resource: string
}

/**
 * What ours is compared with: the engine alone, as its own documentation starts it, on its in-memory adapter with
 * clients that never change. It signs with the same algorithm, gives tokens of the same form and life, rotates them
 * alike, and its sign-in verifies a password of the same cost.
 */
runProcess<BareSetup>(async (setup) => {
  const provider = new Provider(`http://127.0.0.1:${setup.port}`, await configuration(setup))
  const engine = provider.callback()
  const server = createServer((request, response) => {
    if (!request.url?.startsWith('/interaction/')) return engine(request, response)
    return interact(provider, setup, request, response).catch((error: Error) => {
      response.statusCode = 500
      response.end(error.stack)
    })
  })
  await new Promise<void>((resolve) => server.listen(setup.port, '127.0.0.1', resolve))
  return () => close(server)
})

async function configuration({ clients, resource }: BareSetup): Promise<Configuration> {
  const cookie = { signed: true, httpOnly: true, sameSite: 'lax' } as const
  return {
    clients,
    jwks: { keys: await Promise.all([signingKey('ES256'), signingKey('RS256')]) },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    routes,
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'locale', 'updated_at'],
      email: ['email', 'email_verified'],
    },
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({
        sub,
        name: 'Hanako Suzuki',
        locale: 'ja',
        updated_at: 0,
        email: sub,
        email_verified: true,
      }),
    }),
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    cookies: { keys: ['a key of the bare engine alone, for cookies'], long: cookie, short: cookie },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    expiresWithSession: (_ctx, code) => !code.scopes.has('offline_access'),
    ttl: {
      AccessToken: 3600,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      Grant: 400 * 86_400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 90 * 86_400,
      Session: 14 * 86_400,
    },
    features: {
      devInteractions: { enabled: false },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      revocation: { enabled: true },
      jwtIntrospection: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      requestObjects: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'read write',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  }
}

/** The least that signs a member in: a form, a verified password, and a consent that nobody is asked for. */
async function interact(
  provider: Provider,
  { passwordHash }: BareSetup,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { prompt, params, session, uid } = await provider.interactionDetails(request, response)
  const clientId = String(params.client_id)
  if (request.method === 'POST') {
    const form = new URLSearchParams(await text(request))
    if (!(await argon2.verify(passwordHash, form.get('password') ?? ''))) throw new Error('wrong password')
    const login = { accountId: form.get('email') ?? '', amr: ['pwd'], remember: true }
    return provider.interactionFinished(request, response, { login })
  }
  if (prompt.name === 'consent' && session) {
    const grant = new provider.Grant({ accountId: session.accountId, clientId })
    grant.addOIDCScope(String(params.scope))
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
  }
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(
    `<form method="post" action="/interaction/${uid}/sign-in"><input name="email"><input name="password"></form>`,
  )
}

async function signingKey(alg: 'ES256' | 'RS256'): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: alg }
}

function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  return closed
}
