import { z } from 'zod'
import { recordEvent } from '../../events/outbox.ts'
import type { Tx } from '../../store/db.ts'

/** The terms under which accounts of a connection are linked. Published once and never changed, only followed. */
export const newTerms = z.object({
  connectionId: z.string(),
  version: z.string().regex(/^[\w.-]{1,40}$/, 'letters, digits, dots, hyphens and underscores, at most 40'),
  text: z.object({ ja: z.string().trim().min(1).max(20_000), en: z.string().trim().min(1).max(20_000) }),
  consentDays: z.int().min(1).max(3650).optional(),
  /** Whether those who agreed to what was before are asked again. */
  asksAnew: z.boolean(),
  publishedAt: z.date(),
})
export type NewTerms = z.infer<typeof newTerms>

export interface Terms {
  version: string
  /** The words members agree to; undefined while a connection has none of its own and the service's terms count. */
  text: NewTerms['text'] | undefined
  /** How long an agreement lasts; undefined: until it is ended. */
  consentDays: number | undefined
}

/** What is in force now: of several versions the one published last. */
export async function currentTerms(
  tx: Tx,
  connectionId: string,
  serviceVersion: string,
  now: Date,
): Promise<Terms> {
  const row = await tx.connectionTerms.findFirst({
    where: { connectionId, publishedAt: { lte: now } },
    orderBy: [{ publishedAt: 'desc' }, { version: 'desc' }],
  })
  if (!row) return { version: serviceVersion, text: undefined, consentDays: undefined }
  const { version, text, consentDays } = row
  return { version, text: newTerms.shape.text.parse(text), consentDays: consentDays ?? undefined }
}

/** Rejects with a unique violation when the connection has this version already. */
export async function publishTerms(tx: Tx, terms: NewTerms, now: Date): Promise<void> {
  const { connectionId, version, consentDays, ...rest } = terms
  await tx.connectionTerms.create({
    data: { ...rest, connectionId, version, consentDays: consentDays ?? null },
  })
  await recordEvent(tx, { type: 'connection_terms.published', data: { connectionId, version } }, now)
}
