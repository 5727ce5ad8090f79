import type { Client } from 'oidc-provider'
import { z } from 'zod'
import type { Random } from '../security/random.ts'
import type { Db, Tx } from '../store/db.ts'

/** The hosts for which members have names of their own; undefined for a client that gets the member ID itself. */
function sectorOf(client: Client): string | undefined {
  if (client.subjectType !== 'pairwise') return undefined
  const { sectorIdentifier: sector } = client
  if (typeof sector !== 'string' || sector === '') throw new Error('a pairwise client has a sector')
  return sector
}

/** The same of stored metadata, where no engine is at hand. */
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

/**
 * OpenID Connect Core 8.1: the `sub` of a member in a client's sector. It is random and stored: it tells nothing about
 * the member, depends on no key, is nobody else's ever, and of several first askers at once all get the same.
 */
export function pairwiseSubjects(db: Db, random: Random, now: () => Date) {
  return async (_ctx: unknown, memberId: string, client: Client): Promise<string> => {
    const sector = sectorOf(client)
    if (sector === undefined) return memberId
    const where = { sector_memberId: { sector, memberId } }
    const known = await db.pairwiseSubject.findUnique({ where })
    if (known) return known.subject
    const made = { sector, memberId, subject: random.token(16), createdAt: now() }
    await db.pairwiseSubject.createMany({ data: made, skipDuplicates: true })
    return (await db.pairwiseSubject.findUniqueOrThrow({ where })).subject
  }
}

/** The member a client means by a `sub`; undefined when it was never given that one. */
export async function memberOfSubject(tx: Tx, client: Client, subject: string): Promise<string | undefined> {
  const sector = sectorOf(client)
  if (sector === undefined) return subject
  const row = await tx.pairwiseSubject.findUnique({ where: { subject } })
  return row?.sector === sector ? row.memberId : undefined
}
