import type { VerifiedIdentity } from '../connections/connector.ts'
import type { Connection } from '../connections/settings.ts'
import { type Locale, localizedName } from '../http/i18n.ts'
import { digest } from '../security/digest.ts'
import type { Tx } from '../store/db.ts'

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

/** Goes with the form, so that what is agreed to is what was on the page and not what has changed since. */
export function consentDigest(text: LinkConsentText): string {
  return digest(JSON.stringify(text))
}
