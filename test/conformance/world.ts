import { findEmail } from '../../src/members/contact-point.ts'
import { createPasswordHasher } from '../../src/members/credentials/password.ts'
import { createMember } from '../../src/members/member.ts'
import { createClient, rotateSecret, updateClient } from '../../src/oidc/clients/client.ts'
import { newClient, type ParsedClient } from '../../src/oidc/clients/new-client.ts'
import {
  createRegistrationToken,
  revokeRegistrationToken,
} from '../../src/oidc/clients/registration-token.ts'
import { digest } from '../../src/security/digest.ts'
import { systemRandom } from '../../src/security/random.ts'
import { type Db, inTransaction, type Tx } from '../../src/store/db.ts'
import { planClients, type SuitePlace } from './clients.ts'
import type { Kept } from './kept.ts'

export const memberEmail = 'conformance@example.com'

/** Every claim of OpenID Connect Core 5.1 that is not made of something else. */
const everything = {
  name: 'Conformance Member',
  familyName: 'Member',
  givenName: 'Conformance',
  middleName: 'Test',
  nickname: 'Connie',
  preferredUsername: 'conformance',
  profile: 'https://www.example.com/conformance',
  picture: 'https://www.example.com/conformance.png',
  website: 'https://www.example.com',
  gender: 'unspecified',
  birthdate: '1990-04-01',
  zoneinfo: 'Asia/Tokyo',
  locale: 'en',
  phoneNumber: '+81312345678',
  address: {
    formatted: '1-1 Chiyoda\nChiyoda-ku, Tokyo 100-0001\nJapan',
    street_address: '1-1 Chiyoda',
    locality: 'Chiyoda-ku',
    region: 'Tokyo',
    postal_code: '100-0001',
    country: 'Japan',
  },
}

const tokenLabel = 'conformance'
const tokenLifetimeDays = 30

/**
 * Puts member, clients and initial access token where they are missing and makes them what they have to be; secrets that
 * were kept stay good. Returns what is to be kept from now on.
 */
export async function furnish(db: Db, place: SuitePlace, kept: Kept, now: Date): Promise<Kept> {
  await furnishMember(db, kept.memberPassword, now)
  const secrets: Record<string, string> = {}
  for (const input of planClients(place, kept.credentials)) {
    const client = newClient.parse(input)
    const known = kept.secrets[client.id]
    const secret = await inTransaction(db, (tx) => furnishClient(tx, client, known, now))
    if (secret) secrets[client.id] = secret
  }
  const initialAccessToken = await furnishToken(db, kept.initialAccessToken, now)
  return { ...kept, secrets, initialAccessToken }
}

async function furnishMember(db: Db, password: string, now: Date): Promise<void> {
  const passwordHash = await createPasswordHasher(1).hash(password)
  await inTransaction(db, async (tx) => {
    const { name, locale } = everything
    const known = await findEmail(tx, memberEmail)
    const made = { name, locale, email: memberEmail, passwordHash }
    const memberId = known?.memberId ?? (await createMember(tx, made, now)).id
    const credential = { hash: passwordHash, changedAt: now }
    await tx.member.update({
      where: { id: memberId },
      data: {
        ...everything,
        phoneVerifiedAt: now,
        password: { upsert: { create: credential, update: credential } },
      },
    })
  })
}

async function furnishClient(
  tx: Tx,
  client: ParsedClient,
  known: string | undefined,
  now: Date,
): Promise<string | undefined> {
  if (!(await updateClient(tx, client, now)))
    return (await createClient(tx, systemRandom, client, now)).secret
  if (!client.authMethod?.startsWith('client_secret')) return undefined
  const where = { clientId: client.id, digest: digest(known ?? ''), expiresAt: null }
  if (known && (await tx.clientSecret.count({ where })) > 0) return known
  return rotateSecret(tx, systemRandom, client.id, 0, now)
}

/** One that is good for a run at least. */
async function furnishToken(db: Db, known: string | undefined, now: Date): Promise<string> {
  const tomorrow = new Date(now.getTime() + 86_400_000)
  const expiresAt = new Date(now.getTime() + tokenLifetimeDays * 86_400_000)
  return inTransaction(db, async (tx) => {
    const where = { digest: digest(known ?? ''), label: tokenLabel, expiresAt: { gt: tomorrow } }
    if (known && (await tx.registrationToken.count({ where })) > 0) return known
    await revokeRegistrationToken(tx, tokenLabel, now)
    const rules = {
      profiles: ['web' as const],
      scopes: ['openid', 'profile', 'email', 'address', 'phone', 'offline_access'],
      allowNoPkce: true,
    }
    return createRegistrationToken(tx, systemRandom, { label: tokenLabel, ...rules, expiresAt }, now)
  })
}
