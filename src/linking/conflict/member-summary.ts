import { listConnections } from '../../connections/connection.ts'
import { type Locale, localizedName } from '../../http/i18n.ts'
import { primaryEmail } from '../../members/contact-point.ts'
import type { Tx } from '../../store/db.ts'
import type { Member } from '../../store/generated/client.ts'
import { displayNameOf } from '../identity.ts'

/**
 * What a claimant who has proved both sides is shown of each, to tell them apart and know what is at stake. Points and
 * tiers are not kept here: whoever comes to keep them adds them to this summary, and so to the page and its digest.
 */
export interface MemberSummary {
  id: string
  name: string | null
  email: string | null
  registeredAt: Date
  /** Claims about the person that are filled in, by name. */
  attributes: string[]
  hasPassword: boolean
  /** Connections at which this member signs in. */
  signInWays: string[]
  accounts: { connection: string; kind: string; name: string | null; agreedAt: Date | null }[]
  /** Relying parties that may have something of this member. */
  services: string[]
}

export async function summarizeMember(
  tx: Tx,
  memberId: string,
  locale: Locale,
  now: Date,
): Promise<MemberSummary> {
  const where = { memberId }
  // One query after the other: a transaction has one connection.
  const member = await tx.member.findUniqueOrThrow({ where: { id: memberId } })
  const email = await primaryEmail(tx, memberId)
  const passwords = await tx.passwordCredential.count({ where })
  const identities = await tx.federatedIdentity.findMany({ where, orderBy: { linkedAt: 'asc' } })
  const consents = await tx.linkConsent.findMany({ where: { ...where, endedAt: null } })
  const connections = await listConnections(tx, { withDisabled: true })
  const services = await namesOfServices(tx, memberId, locale, now)
  const accounts = identities.map(({ connectionId, issuer, subject, profile }) => {
    const connection = connections.find(({ id }) => id === connectionId)
    const consent = consents.find((it) => it.issuer === issuer && it.subject === subject)
    return {
      connection: connection?.name[locale] ?? connectionId,
      kind: connection?.kind ?? '',
      name: displayNameOf(profile) ?? null,
      agreedAt: consent?.agreedAt ?? null,
    }
  })
  const signInWays = connections.flatMap(({ id, name, allowSignIn, disabledAt }) =>
    allowSignIn && !disabledAt && identities.some(({ connectionId }) => connectionId === id)
      ? [name[locale]]
      : [],
  )
  return {
    ...{ id: member.id, name: member.name, email: email ?? null, registeredAt: member.createdAt },
    ...{ attributes: attributesOf(member), hasPassword: passwords > 0 },
    ...{ signInWays, accounts, services },
  }
}

async function namesOfServices(tx: Tx, memberId: string, locale: Locale, now: Date): Promise<string[]> {
  const given = { memberId, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
  const clients = await tx.client.findMany({
    where: { grants: { some: given } },
    select: { name: true },
    orderBy: { createdAt: 'asc' },
  })
  return clients.map(({ name }) => localizedName.parse(name)[locale])
}

/** Columns of a profile, and the claims they are told as. */
const attributes = {
  name: 'name',
  familyName: 'family_name',
  givenName: 'given_name',
  middleName: 'middle_name',
  nickname: 'nickname',
  preferredUsername: 'preferred_username',
  picture: 'picture',
  profile: 'profile',
  website: 'website',
  gender: 'gender',
  birthdate: 'birthdate',
  zoneinfo: 'zoneinfo',
  address: 'address',
  phoneNumber: 'phone_number',
} as const satisfies Partial<Record<keyof Member, string>>

function attributesOf(member: Member): string[] {
  return Object.entries(attributes).flatMap(([key, claim]) =>
    member[key as keyof typeof attributes] === null ? [] : [claim],
  )
}

/** The names under which members know columns of a profile; what is no claim of its own goes with another. */
export function claimsOf(columns: readonly string[]): string[] {
  return Object.entries(attributes).flatMap(([column, claim]) => (columns.includes(column) ? [claim] : []))
}
