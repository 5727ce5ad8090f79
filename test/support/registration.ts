import { randomBytes } from 'node:crypto'
import type { RegistrationRules } from '../../src/oidc/clients/dynamic-metadata.ts'
import { createRegistrationToken } from '../../src/oidc/clients/registration-token.ts'
import { systemRandom } from '../../src/security/random.ts'
import { inTransaction } from '../../src/store/db.ts'
import type { TestApp } from './app.ts'
import { type Answer, send } from './post.ts'

type Server = Pick<TestApp, 'issuer' | 'db' | 'now'>

/** An initial access token as an administrator makes it: for an hour, and for every kind of client. */
export async function givenRegistrationToken(
  { db, now }: Pick<Server, 'db' | 'now'>,
  {
    label = `token-${randomBytes(4).toString('hex')}`,
    ...changes
  }: Partial<RegistrationRules> & { label?: string; maxUses?: number; expiresAt?: Date } = {},
): Promise<string> {
  const token = {
    label,
    profiles: ['web', 'spa', 'native', 'machine', 'device', 'fapi2'] as const,
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    allowNoPkce: false,
    expiresAt: new Date(now().getTime() + 3_600_000),
    ...changes,
  }
  const profiles = [...token.profiles]
  return inTransaction(db, (tx) => createRegistrationToken(tx, systemRandom, { ...token, profiles }, now()))
}

/** A registration request with this body, as text if it is not to be JSON of something. */
export function register(server: Pick<Server, 'issuer'>, token: string, body: unknown): Promise<Answer> {
  return manage({ registration_client_uri: `${server.issuer}/register` }, 'POST', body, token)
}

/** Something a client does to its registration with the token and at the address it was given. */
export function manage(
  registration: Record<string, unknown>,
  method: string,
  body?: unknown,
  token = String(registration.registration_access_token ?? ''),
): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return send(String(registration.registration_client_uri), {
    method,
    headers: {
      accept: 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: text }),
  })
}

/** What a client sends to change its registration: what it was told (RFC 7592 section 2.2), and these changes. */
export function changed(
  registration: Record<string, unknown>,
  changes: Record<string, unknown> = {},
): Record<string, unknown> {
  const {
    registration_access_token: _token,
    registration_client_uri: _uri,
    client_id_issued_at: _at,
    client_secret_expires_at: _expiry,
    ...metadata
  } = registration
  return { ...metadata, ...changes }
}
