import type { IncomingMessage, ServerResponse } from 'node:http'
import { decodeJwt, importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'

/** What an ID token is made of before it is signed. */
export interface IdTokenParts {
  header: { alg: string; kid?: string }
  claims: JWTPayload
  /** The upstream's own signing key. */
  key: JWK
}

/** What an upstream does wrong: it answers as it should, and then this is done to the answer. */
export interface Misbehavior {
  /** Instead of the answer of this path. */
  answers?: Record<string, (response: ServerResponse) => void>
  /** To the JSON of this path. */
  json?: Record<string, (body: Record<string, unknown>) => Record<string, unknown>>
  /** To the ID token before it is signed; or a whole one of its own. */
  idToken?: (parts: IdTokenParts) => IdTokenParts | string | Promise<string>
  /** To the address that the browser is sent back to. */
  callback?: (url: URL) => void
}

/** True when the request has been answered; otherwise what is wrong is done as the answer leaves. */
export function misbehave(
  wrong: Misbehavior,
  key: JWK,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const path = new URL(request.url ?? '/', 'http://upstream').pathname
  const instead = wrong.answers?.[path]
  if (instead) {
    instead(response)
    return true
  }
  const change = wrong.json?.[path]
  const { idToken, callback } = wrong
  if (change || (idToken && path === '/token')) {
    rewriteJson(response, async (body) => {
      const forged = idToken && body.id_token ? { ...body, id_token: await forge(body, key, idToken) } : body
      return change ? change(forged) : forged
    })
  }
  if (callback) rewriteLocation(response, callback)
  return false
}

async function forge(
  body: Record<string, unknown>,
  key: JWK,
  change: NonNullable<Misbehavior['idToken']>,
): Promise<string> {
  const claims = decodeJwt(String(body.id_token))
  const changed = await change({ header: { alg: 'ES256' }, claims, key })
  if (typeof changed === 'string') return changed
  const { alg = 'ES256' } = changed.header
  return new SignJWT(changed.claims)
    .setProtectedHeader({ ...changed.header, alg })
    .sign(await importJWK(changed.key, alg))
}

function rewriteJson(
  response: ServerResponse,
  change: (body: Record<string, unknown>) => Promise<Record<string, unknown>>,
): void {
  const end = response.end.bind(response)
  response.end = ((text: string) => {
    change(JSON.parse(String(text)))
      .then((body) => {
        response.removeHeader('content-length')
        end(JSON.stringify(body))
      })
      .catch((error: Error) => response.destroy(error))
    return response
  }) as typeof response.end
}

function rewriteLocation(response: ServerResponse, change: (url: URL) => void): void {
  const setHeader = response.setHeader.bind(response)
  response.setHeader = (name, value) => {
    if (!/^location$/i.test(name) || typeof value !== 'string' || !/[?&](code|error)=/.test(value))
      return setHeader(name, value)
    const url = new URL(value)
    change(url)
    return setHeader(name, url.href)
  }
}
