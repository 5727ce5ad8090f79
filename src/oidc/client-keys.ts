import type { ClientMetadata, Provider } from 'oidc-provider'

/** Whoever knows a client's id can name a key that is not there: its keys are not fetched more often than this. */
const leastMs = 10_000

interface KeyStore {
  jwksUri?: string
  freshUntil?: number
  selectForVerify(wanted: object): unknown[]
}

/**
 * OpenID Connect Core 10.1.1: a signature that names an unfamiliar key sends the verifier back to the client's
 * `jwks_uri`. The engine would do so only when its copy is a minute old, or as old as the client's cache header allows.
 */
export function honorKeyRotation(provider: Provider, now: () => Date): void {
  const prototype: KeyStore = Object.getPrototypeOf(anyClient(provider).asymmetricKeyStore)
  const select = prototype.selectForVerify
  const lookedAgain = new WeakMap<KeyStore, number>()
  prototype.selectForVerify = function selectForVerify(wanted) {
    const keys = select.call(this, wanted)
    // Without a moment until which they are fresh, the engine has not fetched any yet.
    if (keys.length > 0 || !this.jwksUri || !this.freshUntil) return keys
    const time = now().getTime()
    if (time - (lookedAgain.get(this) ?? 0) >= leastMs) {
      lookedAgain.set(this, time)
      // What it has is not fresh any more: the engine fetches again before it refuses.
      delete this.freshUntil
    }
    return keys
  }
}

/** All clients' stores are of one class, which the engine does not show otherwise. */
function anyClient(provider: Provider): { asymmetricKeyStore: KeyStore } {
  const Client = provider.Client as unknown as new (
    metadata: ClientMetadata,
  ) => { asymmetricKeyStore: KeyStore }
  return new Client({
    client_id: 'any',
    profile: 'spa',
    redirect_uris: ['https://client.invalid'],
    token_endpoint_auth_method: 'none',
  })
}
