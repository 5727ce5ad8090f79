import { z } from 'zod'
import { type Locale, localizedName } from '../../http/i18n.ts'
import type { Tx } from '../../store/db.ts'
import type { Client } from '../../store/generated/client.ts'

/** What members are told of a client: who it is, and where it says what it does. */
export interface RelyingParty {
  id: string
  name: string
  /** Of the company itself, by an administrator's decision. */
  firstParty: boolean
  uri: string | undefined
  /** Its home page's host: harder to make up than a name. */
  host: string | undefined
  logoUri: string | undefined
  policyUri: string | undefined
  tosUri: string | undefined
}

const links = z.object({
  client_uri: z.string().optional(),
  logo_uri: z.string().optional(),
  policy_uri: z.string().optional(),
  tos_uri: z.string().optional(),
})

/** Undefined for a client that is disabled or does not exist. */
export async function findRelyingParty(
  tx: Tx,
  id: string,
  locale: Locale,
): Promise<RelyingParty | undefined> {
  const row = await tx.client.findUnique({ where: { id } })
  return row && !row.disabledAt ? presentRelyingParty(row, locale) : undefined
}

export function presentRelyingParty(row: Client, locale: Locale): RelyingParty {
  const {
    client_uri: uri,
    logo_uri: logo,
    policy_uri: policyUri,
    tos_uri: tosUri,
  } = links.parse(row.metadata)
  const logoUri = logo?.startsWith('https:') ? logo : undefined
  const { id, name, firstParty } = row
  const host = uri && URL.parse(uri)?.host
  return { id, name: localizedName.parse(name)[locale], firstParty, uri, host, logoUri, policyUri, tosUri }
}
