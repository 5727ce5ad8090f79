import type { AdapterPayload } from 'oidc-provider'
import { recordEvent } from '../../events/outbox.ts'
import { type Locale, localizedName } from '../../http/i18n.ts'
import { digest, equalInConstantTime } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Db, Tx } from '../../store/db.ts'
import { toConnectionRights, toConnectionRows } from './client-connections.ts'
import { type NewClient, type ParsedClient, toMetadata } from './new-client.ts'
import type { ClientProfile, Metadata } from './profile.ts'

/** Registers a relying party. The secret is returned here and never again; unique and foreign keys reject bad ids. */
export async function createClient(
  tx: Tx,
  random: Random,
  input: ParsedClient,
  now: Date,
): Promise<{ secret: string | undefined }> {
  const { id, name, firstParty, managesLinks } = input
  const metadata = toMetadata(input)
  const profile = metadata.profile as ClientProfile
  const secret = hasSecret(metadata) ? random.token() : undefined
  await tx.client.create({
    data: {
      id,
      name,
      profile,
      metadata: metadata as object,
      firstParty,
      managesLinks,
      createdAt: now,
      updatedAt: now,
      connections: { create: toConnectionRows(input) },
      resources: { create: input.resources.map(({ id: resourceId, scopes }) => ({ resourceId, scopes })) },
      ...(secret && { secrets: { create: { digest: digest(secret), createdAt: now } } }),
    },
  })
  await recordEvent(tx, { type: 'client.created', data: { clientId: id, profile, firstParty } }, now)
  return { secret }
}

/** What was said of a client, as `newClient` takes it: for saying some of it anew. */
export async function findRegistration(tx: Tx, id: string): Promise<NewClient | undefined> {
  const row = await tx.client.findUnique({ where: { id }, include: { connections: true, resources: true } })
  if (!row) return undefined
  return {
    id,
    name: localizedName.parse(row.name),
    profile: row.profile,
    ...toConnectionRights(row.connections),
    resources: row.resources.map(({ resourceId, scopes }) => ({ id: resourceId, scopes })),
    firstParty: row.firstParty,
    managesLinks: row.managesLinks,
    metadata: row.metadata as Metadata,
  }
}

/** Replaces what an administrator says of a client; its id, secrets and grants stay. False when there is no such client. */
export async function updateClient(tx: Tx, input: ParsedClient, now: Date): Promise<boolean> {
  const { id: clientId, name, firstParty, managesLinks } = input
  const metadata = toMetadata(input)
  const profile = metadata.profile as ClientProfile
  const data = { name, profile, metadata: metadata as object, firstParty, managesLinks, updatedAt: now }
  const { count } = await tx.client.updateMany({ where: { id: clientId }, data })
  if (count === 0) return false
  await tx.clientConnection.deleteMany({ where: { clientId } })
  await tx.clientConnection.createMany({
    data: toConnectionRows(input).map((row) => ({ clientId, ...row })),
  })
  await tx.clientResource.deleteMany({ where: { clientId } })
  await tx.clientResource.createMany({
    data: input.resources.map(({ id: resourceId, scopes }) => ({ clientId, resourceId, scopes })),
  })
  await recordEvent(tx, { type: 'client.updated', data: { clientId, profile, firstParty } }, now)
  return true
}

/** Whether a client of this metadata authenticates with a secret. */
export const hasSecret = ({ token_endpoint_auth_method: method }: Metadata) =>
  typeof method === 'string' && method.startsWith('client_secret')

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
  await tx.client.update({ where: { id: clientId }, data: { updatedAt: now } })
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

/** Undoes `disableClient`; members are asked again. False when it was not disabled. */
export async function enableClient(tx: Tx, clientId: string, now: Date): Promise<boolean> {
  const { count } = await tx.client.updateMany({
    where: { id: clientId, disabledAt: { not: null } },
    data: { disabledAt: null, updatedAt: now },
  })
  if (count === 0) return false
  await recordEvent(tx, { type: 'client.enabled', data: { clientId } }, now)
  return true
}

/** What the engine reads of a client. In place of the secret it gets the digests that `isClientSecret` compares with. */
export async function findClientMetadata(db: Db, id: string, now: Date): Promise<AdapterPayload | undefined> {
  // RFC 6749 Appendix A.1: what is presented is printable ASCII; the database refuses some of the rest.
  if (!/^[\x20-\x7e]+$/.test(id)) return undefined
  const row = await db.client.findUnique({
    where: { id },
    include: {
      secrets: true,
      connections: { where: { connection: { disabledAt: null } } },
      resources: true,
    },
  })
  if (!row || row.disabledAt) return undefined
  const live = row.secrets
    .filter(({ expiresAt }) => !expiresAt || expiresAt > now)
    .map((secret) => [secret.digest, ...(secret.expiresAt ? [secret.expiresAt.getTime()] : [])].join('@'))
  const metadata = row.metadata as AdapterPayload
  const rights = toConnectionRights(row.connections)
  const name = localizedName.parse(row.name)
  // A client that registered itself finds its names as it gave them.
  const isNamed = Object.keys(metadata).some((field) => /^client_name(#|$)/.test(field))
  return {
    ...(!isNamed && { client_name: name.ja, 'client_name#en': name.en }),
    ...metadata,
    client_id: row.id,
    client_id_issued_at: Math.floor(row.createdAt.getTime() / 1000),
    profile: row.profile,
    first_party: row.firstParty,
    manages_links: row.managesLinks,
    allowed_resources: Object.fromEntries(
      row.resources.map(({ resourceId, scopes }) => [resourceId, scopes]),
    ),
    allowed_connections: rights.connections,
    vouches_for: rights.vouchConnections,
    token_connections: rights.tokenConnections,
    // A client whose secrets have all ended is refused for that, not for its registration.
    ...(hasSecret(metadata) && { client_secret: live.sort().join(' ') || 'none' }),
  }
}

/** By the digest of what was presented: takes as long for a wrong secret as for a right one. `digests` is what `findClientMetadata` put in the secret's place. */
export function isClientSecret(candidate: string, digests: string, now: Date): boolean {
  return digests
    .split(' ')
    .map((entry) => {
      const [known = '', expiresAt = Number.POSITIVE_INFINITY] = entry.split('@')
      return equalInConstantTime(known, candidate) && Number(expiresAt) > now.getTime()
    })
    .includes(true)
}

/** The client's name in the member's language. */
export async function clientName(tx: Tx, id: string, locale: Locale): Promise<string | undefined> {
  const row = await tx.client.findUnique({ where: { id }, select: { name: true } })
  return row ? localizedName.parse(row.name)[locale] : undefined
}
