import * as client from 'openid-client'
import type { Outbound } from '../http/outbound.ts'
import type { Sealer } from '../security/seal.ts'
import { clientAuthentication } from './client-secret.ts'
import { openSecret } from './connection.ts'
import { kindOf } from './kinds.ts'
import { readsMetadata } from './setting-faults.ts'
import type { Connection, ConnectionSettings } from './settings.ts'

/** A provider's metadata is read again after this long. */
const discoveryLifeMs = 600_000
const maxCachedConnections = 200

export interface ConfigurationDeps {
  sealer: Sealer
  fetch: Outbound
  now: () => Date
}

/** What is known of each upstream, from its own document and from what is set, kept for a while. */
export function upstreamConfigurations(deps: ConfigurationDeps) {
  const cache = new Map<
    string,
    { version: number; readAt: number; configuration: Promise<client.Configuration> }
  >()

  return (connection: Connection): Promise<client.Configuration> => {
    const version = connection.updatedAt.getTime()
    const known = cache.get(connection.id)
    if (known?.version === version && deps.now().getTime() - known.readAt < discoveryLifeMs)
      return known.configuration
    const configuration = configure(deps, connection)
    if (cache.size >= maxCachedConnections) cache.clear()
    cache.set(connection.id, { version, readAt: deps.now().getTime(), configuration })
    configuration.catch(() => cache.delete(connection.id))
    return configuration
  }
}

async function configure(
  { sealer, fetch, now }: ConfigurationDeps,
  connection: Connection,
): Promise<client.Configuration> {
  const { clientId, settings, kind, issuer } = connection
  const server = { issuer, ...(await readMetadata(connection, fetch)), ...givenMetadata(settings) }
  const secret = openSecret(sealer, connection)
  const { idTokenSigningAlg } = settings
  const metadata = { ...(idTokenSigningAlg && { id_token_signed_response_alg: idTokenSigningAlg }) }
  // HS256 ID tokens are checked against it; a key is no such secret.
  const shared = kindOf(kind).secretIsKey ? {} : { client_secret: secret }
  const authenticate = clientAuthentication(connection, secret, now)
  const configuration = new client.Configuration(server, clientId, { ...shared, ...metadata }, authenticate)
  configuration[client.customFetch] = fetch as client.CustomFetch
  // http is for upstreams on this machine: the outbound fetch lets it reach listed private hosts alone.
  if (hasPlainAddress(connection)) client.allowInsecureRequests(configuration)
  if (kindOf(kind).protocol === 'oidc' && idTokenSigningAlg !== 'HS256')
    client.enableNonRepudiationChecks(configuration)
  return configuration
}

/** OpenID Connect Discovery 1.0 section 4.3 and RFC 8414 section 3.3: a document of another issuer is refused. */
async function readMetadata(
  connection: Connection,
  fetch: Outbound,
): Promise<Partial<client.ServerMetadata>> {
  const { issuer, settings, clientId, kind } = connection
  if (!readsMetadata(settings)) return {}
  const found = await client.discovery(
    new URL(settings.discovery ?? issuer),
    clientId,
    undefined,
    undefined,
    {
      [client.customFetch]: fetch as client.CustomFetch,
      algorithm: kindOf(kind).protocol === 'oidc' ? 'oidc' : 'oauth2',
      execute: hasPlainAddress(connection) ? [client.allowInsecureRequests] : [],
    },
  )
  const metadata = found.serverMetadata()
  // A document at an address of its own is not compared by the engine.
  if (settings.discovery && metadata.issuer !== issuer)
    throw new Error('the metadata is of another issuer', {
      cause: { attribute: 'issuer', expected: issuer, body: metadata },
    })
  return { ...metadata }
}

function givenMetadata({ endpoints = {} }: ConnectionSettings): Partial<client.ServerMetadata> {
  const { authorization, token, userinfo, jwks, revocation } = endpoints
  return {
    ...(authorization && { authorization_endpoint: authorization }),
    ...(token && { token_endpoint: token }),
    ...(userinfo && { userinfo_endpoint: userinfo }),
    ...(jwks && { jwks_uri: jwks }),
    ...(revocation && { revocation_endpoint: revocation }),
  }
}

function hasPlainAddress({ issuer, settings: { discovery, endpoints = {} } }: Connection): boolean {
  return [issuer, discovery, ...Object.values(endpoints)].some((address) => address?.startsWith('http:'))
}
