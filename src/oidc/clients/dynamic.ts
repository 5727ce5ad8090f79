import { recordEvent } from '../../events/outbox.ts'
import { digest } from '../../security/digest.ts'
import type { Tx } from '../../store/db.ts'
import { hasSecret } from './client.ts'
import { administrativeFields } from './dynamic-metadata.ts'
import type { ClientProfile, Metadata } from './profile.ts'

/** A client as it has registered itself: judged, and with every default. */
export interface SelfRegistration {
  id: string
  metadata: Metadata
  /** A secret made for it just now. */
  secret?: string | undefined
}

const by = 'registration'

/** A client that came with an initial access token. It has no connections, no resources, and asks for consent. */
export async function registerClient(tx: Tx, registration: SelfRegistration, now: Date): Promise<void> {
  const { id, metadata, secret } = registration
  const profile = metadata.profile as ClientProfile
  await tx.client.create({
    data: {
      id,
      name: nameOf(registration),
      profile,
      metadata: storedPart(metadata) as object,
      firstParty: false,
      createdAt: now,
      updatedAt: now,
      ...(secret && { secrets: { create: { digest: digest(secret), createdAt: now } } }),
    },
  })
  await recordEvent(
    tx,
    { type: 'client.created', data: { clientId: id, profile, firstParty: false, by } },
    now,
  )
}

/**
 * Replaces what a client says of itself (RFC 7592 section 2.2: what it leaves out is gone); what an administrator decided
 * stays. False when there is no such client that may act.
 */
export async function replaceRegistration(
  tx: Tx,
  registration: SelfRegistration,
  now: Date,
): Promise<boolean> {
  const { id, metadata, secret } = registration
  // An administrator's change at this moment must not be written over with what was before it.
  const [current] = await tx.$queryRaw<{ metadata: Metadata; firstParty: boolean }[]>`
    SELECT "metadata", "firstParty" FROM "Client" WHERE "id" = ${id} AND "disabledAt" IS NULL FOR UPDATE`
  if (!current) return false
  const kept = current.metadata.allowed_claims
  const profile = metadata.profile as ClientProfile
  await tx.client.update({
    where: { id },
    data: {
      name: nameOf(registration),
      profile,
      metadata: { ...storedPart(metadata), ...(kept !== undefined && { allowed_claims: kept }) } as object,
      updatedAt: now,
    },
  })
  if (!hasSecret(metadata)) await tx.clientSecret.deleteMany({ where: { clientId: id } })
  if (secret) await tx.clientSecret.create({ data: { clientId: id, digest: digest(secret), createdAt: now } })
  const { firstParty } = current
  await recordEvent(tx, { type: 'client.updated', data: { clientId: id, profile, firstParty, by } }, now)
  return true
}

/** With a client goes all that is its own: secrets, grants and their tokens, its registration access token. */
export async function deleteClient(tx: Tx, clientId: string, now: Date): Promise<boolean> {
  const { count } = await tx.client.deleteMany({ where: { id: clientId } })
  if (count === 0) return false
  await recordEvent(tx, { type: 'client.deleted', data: { clientId, by } }, now)
  return true
}

/** What has a column of its own, is a secret, or is for an administrator to say, is not in the metadata. */
const notStored = [
  'client_id',
  'client_id_issued_at',
  'client_secret',
  'client_secret_expires_at',
  'profile',
  ...administrativeFields,
]

function storedPart(metadata: Metadata): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([field]) => !notStored.includes(field)))
}

/** RFC 7591 section 2.2: a name may come once for each language; without any, the client goes by its id (section 2). */
function nameOf({ id, metadata }: SelfRegistration): { ja: string; en: string } {
  const { client_name: name, 'client_name#ja': ja, 'client_name#en': en } = metadata
  const first = (...names: unknown[]) => names.find((it): it is string => typeof it === 'string') ?? id
  return { ja: first(ja, name, en), en: first(en, name, ja) }
}
