import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose'
import type { TestApp } from './app.ts'

/** What arrived: at which path, in which form, and the logout token as it reads. */
export interface Received {
  path: string
  contentType: string
  token: string
  claims: JWTPayload
}

export interface LogoutReceiver {
  host: string
  /** An address for logout tokens; the path tells relying parties apart. */
  uri(path: string): string
  /** What has arrived at a path so far, in order. */
  at(path: string): Received[]
  /** From now on a path answers like this; 0 hangs up without an answer. */
  answer(path: string, status: number, body?: string, headers?: Record<string, string>): void
  close(): Promise<void>
}

/** The back end of relying parties that take logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.5). */
export async function startLogoutReceiver(): Promise<LogoutReceiver> {
  const received: Received[] = []
  const answers = new Map<string, { status: number; body: string; headers: Record<string, string> }>()
  const server = createServer(async (request, response) => {
    const { url: path = '', method } = request
    let text = ''
    for await (const chunk of request) text += chunk
    const token = new URLSearchParams(text).get('logout_token')
    const { status, body, headers } = answers.get(path) ?? { status: 200, body: '', headers: {} }
    if (method === 'POST' && token)
      received.push({
        path,
        token,
        contentType: request.headers['content-type'] ?? '',
        claims: decodeJwt(token),
      })
    if (status === 0) request.socket.destroy()
    else response.writeHead(status, { 'cache-control': 'no-store', ...headers }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  const host = `127.0.0.1:${address.port}`
  return {
    host,
    uri: (path) => `http://${host}/${path}`,
    at: (path) => received.filter((it) => it.path === `/${path}`),
    answer: (path, status, body = '', headers = {}) =>
      void answers.set(`/${path}`, { status, body, headers }),
    close: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Checks a logout token as a relying party does (section 2.6), with the keys that the server publishes. */
export function verifyLogoutToken({ issuer }: Pick<TestApp, 'issuer'>, token: string, clientId: string) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  return jwtVerify(token, keys, {
    issuer,
    audience: clientId,
    typ: 'logout+jwt',
    requiredClaims: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
  })
}
