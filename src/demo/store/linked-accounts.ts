import { z } from 'zod'
import type { SignedIn } from './relying-party.ts'

const linkedAccount = z.object({
  connection: z.string(),
  issuer: z.string(),
  subject: z.string(),
  linked_at: z.union([z.number(), z.string()]).optional(),
})

export type ClaimSource = 'id_token' | 'userinfo'

export interface LinkedAccount {
  connection: string
  issuer: string
  subject: string
  linkedAt: Date | undefined
  sources: ClaimSource[]
}

/** One row per linked account, with where it was told; a malformed entry is left out, not trusted. */
export function linkedAccountsOf(signedIn: SignedIn): LinkedAccount[] {
  const rows = new Map<string, LinkedAccount>()
  for (const [source, claims] of [
    ['id_token', signedIn.idTokenClaims],
    ['userinfo', signedIn.userinfo],
  ] as const) {
    for (const account of readClaim(claims.linked_accounts)) {
      const key = JSON.stringify([account.issuer, account.subject])
      const row = rows.get(key)
      if (row) row.sources.push(source)
      else rows.set(key, toRow(account, source))
    }
  }
  return [...rows.values()]
}

function readClaim(claim: unknown): z.infer<typeof linkedAccount>[] {
  if (!Array.isArray(claim)) return []
  return claim.flatMap((entry) => {
    const parsed = linkedAccount.safeParse(entry)
    return parsed.success ? [parsed.data] : []
  })
}

function toRow(account: z.infer<typeof linkedAccount>, source: ClaimSource): LinkedAccount {
  const { connection, issuer, subject, linked_at: moment } = account
  // A number is a JWT NumericDate: seconds (RFC 7519 section 2).
  const linkedAt =
    moment === undefined ? undefined : new Date(typeof moment === 'number' ? moment * 1000 : moment)
  return {
    connection,
    issuer,
    subject,
    linkedAt: linkedAt && !Number.isNaN(linkedAt.getTime()) ? linkedAt : undefined,
    sources: [source],
  }
}
