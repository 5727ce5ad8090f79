import type { ServerMetadata } from 'openid-client'
import { kindOf } from '../connections/kinds.ts'
import { readsMetadata } from '../connections/setting-faults.ts'
import type { Connection } from '../connections/settings.ts'

/** One thing an upstream must have, whether it has it, and what to do when it has not. */
export interface Check {
  name: string
  outcome: 'ok' | 'warn' | 'fail'
  found: string
  advice?: string
}

type Rule = (connection: Connection, metadata: ServerMetadata) => Check

const rules: readonly Rule[] = [
  checkIssuer,
  checkEndpoints,
  checkPkce,
  checkScopes,
  checkIdTokenAlgorithm,
  checkClientAuthentication,
]

/** What an upstream says of itself, held against what the connection needs of it. */
export function checkMetadata(connection: Connection, metadata: ServerMetadata): Check[] {
  if (readsMetadata(connection.settings)) return rules.map((rule) => rule(connection, metadata))
  return [ok('endpoints', 'as they are set; the upstream is not asked for metadata')]
}

/** OpenID Connect Discovery 1.0 section 4.3: exactly the issuer it was asked for, or every ID token would be refused. */
function checkIssuer({ issuer }: Connection, metadata: ServerMetadata): Check {
  const name = 'issuer'
  if (metadata.issuer === issuer) return ok(name, issuer)
  return fail(
    name,
    `it calls itself ${metadata.issuer}`,
    `hitotsu connections update --issuer ${metadata.issuer}, with the secret`,
  )
}

function checkEndpoints({ kind, settings }: Connection, metadata: ServerMetadata): Check {
  const name = 'endpoints'
  const { protocol, deauthorize } = kindOf(kind)
  const needed = [
    'authorization_endpoint',
    'token_endpoint',
    ...(settings.idTokenSigningAlg === 'HS256' || protocol === 'oauth2' ? [] : ['jwks_uri']),
  ]
  const missing = needed.filter((key) => typeof metadata[key] !== 'string')
  if (missing.length > 0)
    return fail(name, `${missing.join(', ')} missing`, 'the upstream has to publish them')
  const codeFlow = metadata.response_types_supported?.includes('code') ?? true
  if (!codeFlow)
    return fail(name, 'no authorization code flow', 'the upstream has to allow response_type=code')
  if (!metadata.revocation_endpoint && !deauthorize)
    return warn(name, 'no revocation_endpoint', 'its tokens cannot be revoked there when a member unlinks')
  return ok(name, needed.join(', '))
}

/** RFC 8414 section 2: left out, PKCE is not supported; many support it all the same. */
function checkPkce(_connection: Connection, metadata: ServerMetadata): Check {
  const name = 'PKCE'
  const methods = metadata.code_challenge_methods_supported
  if (methods?.includes('S256')) return ok(name, 'S256')
  if (methods)
    return fail(name, `only ${methods.join(', ')}`, 'the upstream has to support S256 (RFC 7636 section 4.2)')
  return warn(name, 'not published', 'S256 is sent anyway; ask the upstream whether it checks it')
}

function checkScopes({ settings }: Connection, metadata: ServerMetadata): Check {
  const name = 'scopes'
  const asked = settings.scope.split(' ').filter(Boolean)
  const known = metadata.scopes_supported
  if (!known) return warn(name, 'not published', `ask the upstream whether it knows ${asked.join(', ')}`)
  const missing = asked.filter((scope) => !known.includes(scope))
  // RFC 8414 section 2: a server may leave out some of the scopes it supports.
  return missing.length === 0
    ? ok(name, asked.join(', '))
    : warn(
        name,
        `${missing.join(', ')} not published`,
        `it publishes ${known.join(', ')}; ask for those with --scope`,
      )
}

function checkIdTokenAlgorithm({ kind, settings }: Connection, metadata: ServerMetadata): Check {
  const name = 'ID token'
  if (kindOf(kind).protocol === 'oauth2') return ok(name, 'none, OAuth 2.0 has userinfo')
  const published = metadata.id_token_signing_alg_values_supported
  const wanted = settings.idTokenSigningAlg
  if (kind === 'line' && wanted === 'HS256')
    return ok(name, 'HS256, as LINE signs for web logins whatever it publishes')
  if (!published) return warn(name, 'algorithms not published', 'ask the upstream which one it signs with')
  const usable = wanted ? published.includes(wanted) : published.some((alg) => /^(RS|PS|ES|Ed)/.test(alg))
  if (usable) return ok(name, wanted ?? published.join(', '))
  const advice = `hitotsu connections update --id-token-alg, one of ${published.join(', ')}`
  return fail(
    name,
    `${wanted ?? 'an asymmetric algorithm'} is wanted, ${published.join(', ')} published`,
    advice,
  )
}

/** OpenID Connect Discovery 1.0 section 3: left out, it is client_secret_basic. LINE publishes nothing and takes both. */
function checkClientAuthentication({ kind, settings }: Connection, metadata: ServerMetadata): Check {
  const name = 'authentication'
  const wanted = settings.clientAuthentication
  const methods = metadata.token_endpoint_auth_methods_supported
  if (!methods && kind === 'line') return ok(name, wanted)
  const accepted = methods ?? ['client_secret_basic']
  if (accepted.includes(wanted)) return ok(name, wanted)
  return fail(
    name,
    `${wanted} is set, the upstream takes ${accepted.join(', ')}`,
    'hitotsu connections update --client-auth',
  )
}

export const ok = (name: string, found: string): Check => ({ name, outcome: 'ok', found })
export const warn = (name: string, found: string, advice: string): Check => ({
  name,
  outcome: 'warn',
  found,
  advice,
})
export const fail = (name: string, found: string, advice: string): Check => ({
  name,
  outcome: 'fail',
  found,
  advice,
})
