import { createLocalJWKSet, errors, type JWK, jwtVerify } from 'jose'
import { z } from 'zod'
import type { HttpContext } from '../http/context.ts'
import { Problem } from '../problem.ts'
import { type Db, inTransaction, isUniqueViolation } from '../store/db.ts'
import type { Client, ClientConnection } from '../store/generated/client.ts'
import { createResource } from './resource-registration.ts'

/** What a program may be given at our own API; each endpoint names the one it asks for. */
export const apiScopes = ['links:read'] as const
export type ApiScope = (typeof apiScopes)[number]

export const apiPath = '/api'

/** Our own API, as a resource like any other: clients are registered for it and its scopes (RFC 8707). */
export const apiIndicator = (issuer: string) => issuer + apiPath

/** Registers our own API where it is not yet, and the scopes that came since. */
export async function ensureOwnApi(db: Db, issuer: string, now: Date): Promise<void> {
  const id = apiIndicator(issuer)
  const known = await db.resource.findUnique({ where: { id } })
  if (!known) {
    const name = { ja: 'Hitotsu API', en: 'Hitotsu API' }
    const rest = { tokenFormat: 'jwt', tokenTtl: 600 } as const
    await inTransaction(db, (tx) =>
      createResource(tx, { id, name, scopes: [...apiScopes], ...rest }, now),
    ).catch((error: unknown) => {
      // Another process was first.
      if (!isUniqueViolation(error)) throw error
    })
  } else if (apiScopes.some((scope) => !known.scopes.includes(scope)))
    await db.resource.update({ where: { id }, data: { scopes: [...apiScopes], updatedAt: now } })
}

/** Who calls our API, as registered at this moment. */
export type ApiCaller = Client & { connections: ClientConnection[] }

const payload = z.object({ client_id: z.string(), sub: z.string(), scope: z.string().default('') })

/**
 * The client whose own access token (RFC 9068, client credentials) came with the request, if it was given this scope for
 * our API and is not shut out. Nothing else speaks for a client: no cookie, no token of a member, none in the address.
 * @throws Problem token_required, token_invalid, scope_missing, with the challenge of RFC 6750 section 3
 */
export async function authenticateClient(
  { db, issuer }: { db: Db; issuer: string },
  ctx: HttpContext,
  scope: ApiScope,
): Promise<ApiCaller> {
  const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(ctx.get('Authorization')) ?? []
  if (token === undefined) throw refusal('token_required', issuer)
  const { client_id: clientId, scope: granted } = await verify(db, issuer, token, ctx.state.now)
  const caller = await db.client.findUnique({ where: { id: clientId }, include: { connections: true } })
  if (!caller || caller.disabledAt) throw refusal('token_invalid', issuer, { error: 'invalid_token' })
  if (!granted.split(' ').includes(scope))
    throw refusal('scope_missing', issuer, { error: 'insufficient_scope', scope })
  return caller
}

async function verify(db: Db, issuer: string, token: string, now: Date) {
  const keys = await db.signingKey.findMany({ where: { destroyedAt: null }, select: { publicJwk: true } })
  const keySet = createLocalJWKSet({ keys: keys.map(({ publicJwk }) => publicJwk as unknown as JWK) })
  const verified = await jwtVerify(token, keySet, {
    ...{ issuer, audience: apiIndicator(issuer), typ: 'at+jwt', currentDate: now },
    requiredClaims: ['exp', 'iat', 'jti'],
  }).catch((cause: unknown) => {
    if (!(cause instanceof errors.JOSEError)) throw cause
    throw refusal('token_invalid', issuer, { error: 'invalid_token' }, cause)
  })
  const claims = payload.safeParse(verified.payload).data
  // A client's own token has the client as its subject (RFC 9068 section 2.2); one that is bound to a key takes its proof.
  if (claims?.sub !== claims?.client_id || !claims || 'cnf' in verified.payload)
    throw refusal('token_invalid', issuer, { error: 'invalid_token' })
  return claims
}

/** RFC 6750 section 3: what is missing, in the challenge; a request without a token learns of no error. */
function refusal(
  code: 'token_required' | 'token_invalid' | 'scope_missing',
  issuer: string,
  more: Record<string, string> = {},
  cause?: unknown,
): Problem {
  const parameters = Object.entries({ realm: apiIndicator(issuer), ...more })
  const challenge = `Bearer ${parameters.map(([name, value]) => `${name}="${value}"`).join(', ')}`
  return new Problem(code, { headers: { 'WWW-Authenticate': challenge }, cause })
}
