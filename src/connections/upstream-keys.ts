import { createRemoteJWKSet, customFetch } from 'jose'
import type { Outbound } from '../http/outbound.ts'

/** The keys an upstream publishes at an address; read again when a token names one that is not there. */
export type UpstreamKeys = (jwksUri: string) => ReturnType<typeof createRemoteJWKSet>

/**
 * What a token may be signed with that somebody presents to us. Never a secret: that may be anybody who knows the
 * upstream's client, and the algorithm is ours to say.
 */
export const publishedAlgorithms = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519']

const maxKeySets = 200

export function upstreamKeys(fetch: Outbound): UpstreamKeys {
  const keySets = new Map<string, ReturnType<UpstreamKeys>>()
  return (uri) => {
    const known = keySets.get(uri)
    if (known) return known
    const keys = createRemoteJWKSet(new URL(uri), { [customFetch]: (url, init) => fetch(url, init) })
    if (keySets.size >= maxKeySets) keySets.clear()
    keySets.set(uri, keys)
    return keys
  }
}
