import type { Client } from 'oidc-provider'
import { z } from 'zod'

/** The hosts for which members have names of their own; undefined for a client that gets the member ID itself. */
export function sectorOf(client: Client): string | undefined {
  if (client.subjectType !== 'pairwise') return undefined
  const { sectorIdentifier: sector } = client
  if (typeof sector !== 'string' || sector === '') throw new Error('a pairwise client has a sector')
  return sector
}

/** The same of stored metadata, where no engine is at hand (OpenID Connect Core 8.1). */
export function sectorIn(metadata: unknown): string | undefined {
  const { data } = pairwiseMetadata.safeParse(metadata)
  const uri = data?.sector_identifier_uri ?? data?.redirect_uris?.[0] ?? data?.jwks_uri
  return uri === undefined ? undefined : URL.parse(uri)?.host
}

const pairwiseMetadata = z.object({
  subject_type: z.literal('pairwise'),
  sector_identifier_uri: z.string().optional(),
  redirect_uris: z.array(z.string()).optional(),
  jwks_uri: z.string().optional(),
})

/** A client, as far as names go that it knows members and their accounts by. */
export interface Viewer {
  clientId: string
  /** Unset for a client that gets member IDs. */
  sector: string | undefined
}
