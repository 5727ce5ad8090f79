import { exportJWK, generateKeyPair } from 'jose'
import { errors, type JWK, type Provider } from 'oidc-provider'
import { createOutbound } from '../http/outbound.ts'
import { type NewClient, type ParsedClient, toMetadata } from '../oidc/clients/new-client.ts'
import { type ClientProfile, profileFaults } from '../oidc/clients/profile.ts'
import { buildEngine } from '../oidc/provider.ts'
import { rememberRecent } from '../oidc/recent.ts'
import { openChanges } from '../store/changes.ts'
import { openDb } from '../store/db.ts'
import { openEphemeral } from '../store/ephemeral.ts'
import { createLogger } from '../telemetry/logger.ts'
import { given } from './command.ts'

/**
 * What the engine refuses in a registration, under the option it was given with: stored all the same, it would fail at
 * the client's first request. The engine stops at the first fault it sees, so each part is judged by itself, on a client
 * that is sound otherwise; what its profile has against a part, `newClient` has said already.
 */
export async function metadataFaults(
  said: Partial<NewClient>,
  whole: ParsedClient | undefined,
): Promise<string[]> {
  const { provider, close } = await openEngine()
  try {
    const faults: string[] = []
    for (const [option, part] of partsOf(said)) {
      const fault = await judge(provider, { ...sound, ...part })
      if (fault) faults.push(`${option}: ${fault}`)
    }
    // What no part shows by itself, the whole may.
    const fault = whole && faults.length === 0 ? await judge(provider, whole) : undefined
    return fault ? [fault] : faults
  } finally {
    await close()
  }
}

type Part = [option: string, part: Partial<NewClient>]

function partsOf(input: Partial<NewClient>): Part[] {
  const { redirectUris = [], postLogoutRedirectUris = [], scopes = [], authMethod, jwks } = input
  const { profile, metadata, clientUri, logoUri, policyUri, tosUri } = input
  const application = profile === 'native' ? { profile } : {}
  const keys = given({ profile, authMethod, jwks, metadata })
  return [
    ...redirectUris.map((uri): Part => [`--redirect-uri ${uri}`, { ...application, redirectUris: [uri] }]),
    ...postLogoutRedirectUris.map(
      (uri): Part => [`--post-logout-redirect-uri ${uri}`, { ...application, postLogoutRedirectUris: [uri] }],
    ),
    ...scopes.map((scope): Part => [`--scope ${scope}`, { scopes: [scope] }]),
    ...(authMethod || jwks ? [['--jwks-file', keys] satisfies Part] : []),
    ...(clientUri ? [[`--client-uri ${clientUri}`, { clientUri }] satisfies Part] : []),
    ...(logoUri ? [[`--logo-uri ${logoUri}`, { logoUri }] satisfies Part] : []),
    ...(policyUri ? [[`--policy-uri ${policyUri}`, { policyUri }] satisfies Part] : []),
    ...(tosUri ? [[`--tos-uri ${tosUri}`, { tosUri }] satisfies Part] : []),
  ]
}

/** A registration the engine has nothing against. */
const sound: NewClient = {
  id: 'candidate',
  name: { ja: 'candidate', en: 'candidate' },
  redirectUris: ['https://client.example.com/callback'],
}

async function judge(provider: Provider, registration: NewClient): Promise<string | undefined> {
  const metadata = toMetadata(registration)
  if (profileFaults(metadata.profile as ClientProfile, metadata).length > 0) return undefined
  try {
    // In place of the secret the engine gets digests, so any text does.
    await provider.Client.validate({ ...metadata, client_id: sound.id, client_secret: 'digest' })
    return undefined
  } catch (error) {
    if (!(error instanceof errors.InvalidClientMetadata)) throw error
    const detail = error.cause instanceof Error ? ` (${error.cause.message})` : ''
    return `${error.error_description ?? error.message}${detail}`
  }
}

/** One of each kind, for every algorithm the server signs with: RS256 and PS256 share theirs. */
function makeKeys(): Promise<JWK[]> {
  const kinds = ['ES256', 'RS256', 'EdDSA']
  return Promise.all(
    kinds.map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      return { ...(await exportJWK(privateKey)), use: 'sig' } as JWK
    }),
  )
}

/** An engine set up like the server's that listens to nobody: keys and stores are its own and go with it. */
async function openEngine(): Promise<{ provider: Provider; close(): Promise<void> }> {
  const keys = await makeKeys()
  // Connects with its first query, and there is none.
  const db = openDb('postgresql://unused.invalid/unused', 1)
  const store = await openEphemeral({})
  const fetch = createOutbound([])
  const now = () => new Date(0)
  const recent = rememberRecent({ db, store, changes: await openChanges(store, () => {}) }, now)
  const { provider } = buildEngine(
    { issuer: 'https://unused.invalid', cookieKeys: ['unused'], jwks: { keys }, recentSignInSeconds: 600 },
    { db, store, recent, fetch, now, log: createLogger('silent') },
  )
  return {
    provider,
    close: async () => {
      await Promise.all([db.$disconnect(), store.close(), fetch.close()])
    },
  }
}
