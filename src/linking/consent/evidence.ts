import { z } from 'zod'
import { locales } from '../../http/i18n.ts'
import type { Tx } from '../../store/db.ts'
import type { LinkConsent } from '../../store/generated/client.ts'
import { isRowId } from '../../store/row-id.ts'

/** What was on the page, as it is kept; the oldest evidence does not have all of it. */
const shownText = z.object({
  connection: z.string(),
  account: z.string().nullish(),
  received: z.array(z.string()),
  shared: z.array(z.string()),
  termsVersion: z.string(),
  terms: z.string().nullish(),
  consentDays: z.number().nullish(),
  locale: z.enum(locales),
})

const givenAt = z.object({
  source: z.string().optional(),
  userAgent: z.string().optional(),
  statement: z.string().optional(),
})

export type ConsentState = 'given' | 'renewal_required' | 'expired' | 'ended'

/** One agreement, as evidence of it. */
export type Evidence = Omit<LinkConsent, 'shown' | 'place'> & {
  shown: z.infer<typeof shownText>
  place: z.infer<typeof givenAt>
  state: ConsentState
}

/** Every agreement to link this member ever gave, newest first. */
export async function listEvidence(tx: Tx, memberId: string, now: Date): Promise<Evidence[]> {
  const rows = await tx.linkConsent.findMany({
    where: { memberId },
    orderBy: [{ agreedAt: 'desc' }, { id: 'desc' }],
  })
  return rows.map((row) => toEvidence(row, now))
}

/** A member's own agreement; undefined for anybody else's. */
export async function findEvidence(
  tx: Tx,
  { id, memberId }: { id: string; memberId: string },
  now: Date,
): Promise<Evidence | undefined> {
  if (!isRowId(id)) return undefined
  const row = await tx.linkConsent.findFirst({ where: { id, memberId } })
  return row ? toEvidence(row, now) : undefined
}

export interface EvidenceFilter {
  connectionId?: string | undefined
  memberId?: string | undefined
  from?: Date | undefined
  to?: Date | undefined
}

const pageSize = 500

/** Everything that matches, oldest first, however much it is: page by page, each by a statement of its own. */
export async function* readEvidence(tx: Tx, filter: EvidenceFilter, now: Date): AsyncGenerator<Evidence> {
  const { connectionId, memberId, from, to } = filter
  const agreedAt = { ...(from && { gte: from }), ...(to && { lt: to }) }
  const where = { ...(connectionId && { connectionId }), ...(memberId && { memberId }), agreedAt }
  for (let after: string | undefined; ; ) {
    const rows = await tx.linkConsent.findMany({
      where: { ...where, ...(after && { id: { gt: after } }) },
      orderBy: { id: 'asc' },
      take: pageSize,
    })
    for (const row of rows) yield toEvidence(row, now)
    after = rows.at(-1)?.id
    if (rows.length < pageSize) return
  }
}

function toEvidence(row: LinkConsent, now: Date): Evidence {
  return {
    ...row,
    shown: shownText.parse(row.shown),
    place: givenAt.parse(row.place ?? {}),
    state: stateOf(row, now),
  }
}

function stateOf({ endedAt, expiresAt, reconsentSince }: LinkConsent, now: Date): ConsentState {
  if (endedAt) return 'ended'
  if (expiresAt && expiresAt <= now) return 'expired'
  return reconsentSince ? 'renewal_required' : 'given'
}
