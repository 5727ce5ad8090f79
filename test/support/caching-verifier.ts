import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import type { TestApp } from './app.ts'
import { send } from './post.ts'

/** A relying party that keeps the published key set for as long as it may, and never asks in between. */
export interface CachingVerifier {
  /** Rejects when the signature cannot be verified with the copy at hand. Claims of time are not looked at. */
  verify(token: string): Promise<void>
  /** How often the key set was fetched. */
  fetches(): number
}

/** The set is fetched from one of `origins` after the other; its age is measured by the server's clock. */
export function cachingVerifier(server: TestApp, origins: readonly string[]): CachingVerifier {
  let copy: { keys: JSONWebKeySet; goodUntil: number } | undefined
  let fetches = 0
  const fetchKeys = async () => {
    const origin = origins[fetches++ % origins.length]
    const { json, headers } = await send(`${origin}/jwks`, { headers: { host: new URL(server.issuer).host } })
    const maxAge = Number(/max-age=(\d+)/.exec(String(headers['cache-control']))?.[1])
    return { keys: json as unknown as JSONWebKeySet, goodUntil: server.now().getTime() + maxAge * 1000 }
  }
  return {
    async verify(token) {
      if (!copy || copy.goodUntil <= server.now().getTime()) copy = await fetchKeys()
      await jwtVerify(token, createLocalJWKSet(copy.keys))
    },
    fetches: () => fetches,
  }
}
