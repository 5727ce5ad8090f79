import type { VerifiedIdentity } from '../connections/connector.ts'
import type { Connection } from '../connections/settings.ts'
import { type Locale, localizedName } from '../http/i18n.ts'
import { digest } from '../security/digest.ts'
import type { Tx } from '../store/db.ts'
import type { LinkTrail } from './way.ts'

/** What a member is shown before an account is linked; stored, as shown, with the agreement. */
export interface LinkConsentText {
  connection: string
  account: string | undefined
  /** Claims that come from the upstream. */
  received: string[]
  /** Relying parties that will see the link. */
  shared: string[]
  termsVersion: string
  locale: Locale
}

/** The single authority on what the consent page says: the page and the evidence are made of the same value. */
export async function consentText(
  tx: Tx,
  connection: Connection,
  identity: VerifiedIdentity,
  termsVersion: string,
  locale: Locale,
): Promise<LinkConsentText> {
  const clients = await tx.client.findMany({
    where: { disabledAt: null, connections: { some: { connectionId: connection.id } } },
    orderBy: { createdAt: 'asc' },
  })
  const { name, email } = identity.profile
  return {
    connection: connection.name[locale],
    account: name ?? email,
    received: ['subject', ...(name ? ['name'] : []), ...(email ? ['email'] : [])],
    shared: clients.map((client) => localizedName.parse(client.name)[locale]),
    termsVersion,
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
}

/** Keeps what was shown and agreed to as evidence. Its id. */
export async function recordConsent(
  tx: Tx,
  { memberId, identity, consent, way, clientId, place }: ConsentGiven,
  now: Date,
): Promise<string> {
  const { connectionId, issuer, subject } = identity
  const { termsVersion, locale } = consent
  const { id } = await tx.linkConsent.create({
    data: {
      ...{ memberId, connectionId, issuer, subject, termsVersion, locale, way },
      clientId: clientId ?? null,
      shown: { ...consent, account: consent.account ?? null },
      ...(place && { place: { ...place } }),
      agreedAt: now,
    },
  })
  return id
}

/** Goes with the form, so that what is agreed to is what was on the page and not what has changed since. */
export function consentDigest(text: LinkConsentText): string {
  return digest(JSON.stringify(text))
}
