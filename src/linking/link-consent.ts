import type { VerifiedIdentity } from '../connections/connector.ts'
import type { Connection } from '../connections/settings.ts'
import { type Locale, localizedName } from '../http/i18n.ts'
import { digest } from '../security/digest.ts'
import type { Tx } from '../store/db.ts'
import { currentTerms } from './consent/terms.ts'
import type { LinkTrail } from './way.ts'

/** What a member is shown before an account is linked; stored, as shown, with the agreement. */
export interface LinkConsentText {
  connection: string
  account: string | undefined
  /** Claims that come from the upstream. */
  received: string[]
  /** Relying parties that will see the link, by name and by id. */
  shared: string[]
  sharedWith: string[]
  termsVersion: string
  /** The terms in full, where the connection has its own. */
  terms: string | undefined
  /** How long the agreement lasts; undefined: until it is ended. */
  consentDays: number | undefined
  locale: Locale
}

export interface ConsentBasis {
  connection: Connection
  identity: Pick<VerifiedIdentity, 'profile'>
  /** Of the service's terms, for a connection without its own. */
  termsVersion: string
  locale: Locale
}

/** The single authority on what the consent page says: the page and the evidence are made of the same value. */
export async function consentText(
  tx: Tx,
  { connection, identity, termsVersion, locale }: ConsentBasis,
  now: Date,
): Promise<LinkConsentText> {
  const terms = await currentTerms(tx, connection.id, termsVersion, now)
  const clients = await tx.client.findMany({
    where: { disabledAt: null, connections: { some: { connectionId: connection.id, discloses: true } } },
    orderBy: { createdAt: 'asc' },
  })
  const { name, email } = identity.profile
  return {
    connection: connection.name[locale],
    account: name ?? email,
    received: ['subject', ...(name ? ['name'] : []), ...(email ? ['email'] : [])],
    shared: clients.map((client) => localizedName.parse(client.name)[locale]),
    sharedWith: clients.map(({ id }) => id),
    termsVersion: terms.version,
    terms: terms.text?.[locale],
    consentDays: terms.consentDays,
    locale,
  }
}

/** Where an agreement was given. An operator's statement stands in for the page where there was none. */
export interface ConsentPlace {
  /** The network address, as rate limits count it. */
  source?: string
  userAgent?: string
  statement?: string
}

export interface ConsentGiven extends Pick<LinkTrail, 'way' | 'clientId'> {
  memberId: string
  identity: Pick<VerifiedIdentity, 'connectionId' | 'issuer' | 'subject'>
  consent: LinkConsentText
  place?: ConsentPlace | undefined
  /** When it was given, if that was not now. */
  agreedAt?: Date
}

/** Keeps what was shown and agreed to as evidence, and how long the identity may be disclosed for it. Its id. */
export async function recordConsent(
  tx: Tx,
  { memberId, identity, consent, way, clientId, place, agreedAt }: ConsentGiven,
  now: Date,
): Promise<string> {
  const { connectionId, issuer, subject } = identity
  const { termsVersion, locale, consentDays } = consent
  const expiresAt = consentDays === undefined ? null : new Date(now.getTime() + consentDays * 86_400_000)
  await tx.federatedIdentity.updateMany({
    where: { issuer, subject, memberId },
    data: { consentUntil: expiresAt },
  })
  const { id } = await tx.linkConsent.create({
    data: {
      ...{ memberId, connectionId, issuer, subject, termsVersion, locale, way },
      clientId: clientId ?? null,
      shown: { ...consent, account: consent.account ?? null },
      ...(place && { place: { ...place } }),
      agreedAt: agreedAt ?? now,
      expiresAt,
    },
  })
  return id
}

/** Goes with the form, so that what is agreed to is what was on the page and not what has changed since. */
export function consentDigest(text: LinkConsentText): string {
  return digest(JSON.stringify(text))
}
