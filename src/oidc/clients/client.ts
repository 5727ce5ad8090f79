import type { AdapterPayload } from 'oidc-provider'
import { z } from 'zod'
import { recordEvent } from '../../events/outbox.ts'
import { type Locale, localizedName } from '../../http/i18n.ts'
import { digest, equalInConstantTime } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Db, Tx } from '../../store/db.ts'
import { accountClientId } from './account-client.ts'

const webUrl = z.url({ protocol: /^https?$/ })
/** RFC 9700 section 2.1: no code travels in the clear; RFC 8252 section 7.3: on the member's own machine it does not travel. */
const redirectUri = z
  .url()
  .refine(
    (uri) => !/^http:/i.test(uri) || loopbackHosts.includes(new URL(uri).hostname),
    'must be https: http is for localhost, 127.0.0.1 and [::1] alone',
  )
const loopbackHosts = ['localhost', '127.0.0.1', '[::1]']

export const newClient = z.object({
  id: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9._-]{1,62}$/,
      'lower-case letters, digits, dots, hyphens and underscores, 2 to 63 characters',
    )
    .refine((id) => id !== accountClientId, 'this id is reserved'),
  name: localizedName,
  redirectUris: z.array(redirectUri).min(1, 'at least one redirect URI'),
  postLogoutRedirectUris: z.array(z.url()).default([]),
  scopes: z
    .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/))
    .default(['openid', 'profile', 'email', 'offline_access']),
  authMethod: z
    .enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'])
    .default('client_secret_basic'),
  jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1) }).optional(),
  /** For a client that cannot verify ES256, which signs otherwise. */
  idTokenSigningAlg: z.enum(['ES256', 'RS256']).optional(),
  connections: z.array(z.string()).default([]),
  firstParty: z.boolean().default(false),
  clientUri: webUrl.optional(),
  policyUri: webUrl.optional(),
  tosUri: webUrl.optional(),
})
export type NewClient = z.infer<typeof newClient>

/** The metadata of OpenID Connect Dynamic Client Registration 1.0 section 2 that a registration stands for. */
export function toMetadata(input: NewClient): Record<string, unknown> {
  const { clientUri, policyUri, tosUri, jwks, firstParty, idTokenSigningAlg } = input
  return {
    redirect_uris: input.redirectUris,
    post_logout_redirect_uris: input.postLogoutRedirectUris,
    scope: input.scopes.join(' '),
    token_endpoint_auth_method: input.authMethod,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    first_party: firstParty,
    ...(jwks && { jwks }),
    ...(idTokenSigningAlg && { id_token_signed_response_alg: idTokenSigningAlg }),
    ...(clientUri && { client_uri: clientUri }),
    ...(policyUri && { policy_uri: policyUri }),
    ...(tosUri && { tos_uri: tosUri }),
  }
}

/** Registers a relying party. The secret is returned here and never again; unique and foreign keys reject bad ids. */
export async function createClient(
  tx: Tx,
  random: Random,
  input: NewClient,
  now: Date,
): Promise<{ secret: string | undefined }> {
  const hasSecret = input.authMethod.startsWith('client_secret')
  const secret = hasSecret ? random.token() : undefined
  await tx.client.create({
    data: {
      id: input.id,
      name: input.name,
      metadata: toMetadata(input) as object,
      firstParty: input.firstParty,
      createdAt: now,
      updatedAt: now,
      connections: { create: input.connections.map((connectionId) => ({ connectionId })) },
      ...(secret && { secrets: { create: { digest: digest(secret), createdAt: now } } }),
    },
  })
  await recordEvent(tx, { type: 'client.created', data: { clientId: input.id } }, now)
  return { secret }
}

/** A new secret now; the ones before it stop working after `overlapSeconds`. At most two live at a time. */
export async function rotateSecret(
  tx: Tx,
  random: Random,
  clientId: string,
  overlapSeconds: number,
  now: Date,
): Promise<string> {
  const secret = random.token()
  const [newest] = await tx.clientSecret.findMany({
    where: { clientId },
    orderBy: { createdAt: 'desc' },
    take: 1,
  })
  await tx.clientSecret.deleteMany({ where: { clientId, ...(newest && { id: { not: newest.id } }) } })
  await tx.clientSecret.updateMany({
    where: { clientId },
    data: { expiresAt: new Date(now.getTime() + overlapSeconds * 1000) },
  })
  await tx.clientSecret.create({ data: { clientId, digest: digest(secret), createdAt: now } })
  await recordEvent(tx, { type: 'client.secret_rotated', data: { clientId } }, now)
  return secret
}

/** From now on the client is unknown at every endpoint; the grants of its members end. False when it was so already. */
export async function disableClient(tx: Tx, clientId: string, now: Date): Promise<boolean> {
  const { count } = await tx.client.updateMany({
    where: { id: clientId, disabledAt: null },
    data: { disabledAt: now, updatedAt: now },
  })
  if (count === 0) return false
  await tx.grant.deleteMany({ where: { clientId } })
  await recordEvent(tx, { type: 'client.disabled', data: { clientId } }, now)
  return true
}

/** What the engine reads of a client. In place of the secret it gets the digests that `isClientSecret` compares with. */
export async function findClientMetadata(db: Db, id: string, now: Date): Promise<AdapterPayload | undefined> {
  // RFC 6749 Appendix A.1: what is presented is printable ASCII; the database refuses some of the rest.
  if (!/^[\x20-\x7e]+$/.test(id)) return undefined
  const row = await db.client.findUnique({ where: { id }, include: { secrets: true, connections: true } })
  if (!row || row.disabledAt) return undefined
  const live = row.secrets
    .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
    .map((secret) => secret.digest)
  const name = localizedName.parse(row.name)
  return {
    ...(row.metadata as AdapterPayload),
    client_id: row.id,
    client_name: name.ja,
    'client_name#en': name.en,
    allowed_connections: row.connections.map(({ connectionId }) => connectionId).sort(),
    ...(live.length > 0 && { client_secret: live.sort().join(' ') }),
  }
}

/** Takes as long for a wrong secret as for a right one. `digests` is what `findClientMetadata` put in the secret's place. */
export function isClientSecret(presented: string, digests: string): boolean {
  const candidate = digest(presented)
  return digests
    .split(' ')
    .map((known) => equalInConstantTime(known, candidate))
    .includes(true)
}

/** The client's name in the member's language. */
export async function clientName(tx: Tx, id: string, locale: Locale): Promise<string | undefined> {
  const row = await tx.client.findUnique({ where: { id }, select: { name: true } })
  return row ? localizedName.parse(row.name)[locale] : undefined
}
