import { z } from 'zod'
import { recordEvent } from '../../events/outbox.ts'
import type { Sealer } from '../../security/seal.ts'
import type { Tx } from '../../store/db.ts'

/** What members say to get the link when an operator has not chosen other words. */
export const defaultLinkWords = ['連携', 'link']

const richMenuId = z.string().regex(/^richmenu-[\w-]{1,100}$/, 'looks like richmenu-0123…')

export const newOfficialAccount = z.object({
  connectionId: z.string(),
  channelId: z.string().regex(/^\d{1,20}$/, 'digits only'),
  channelSecret: z.string().regex(/^[0-9a-f]{32}$/, '32 hexadecimal digits'),
  botUserId: z.string().regex(/^U[0-9a-f]{32}$/),
  linkedRichMenuId: richMenuId.optional(),
  unlinkedRichMenuId: richMenuId.optional(),
  linkWords: z
    .array(z.string().trim().min(1).max(300))
    .min(1)
    .max(20)
    .default([...defaultLinkWords]),
})
export type NewOfficialAccount = z.infer<typeof newOfficialAccount>

/** The Messaging API channel of a LINE connection; its secret stays sealed until a call needs it. */
export interface OfficialAccount {
  connectionId: string
  /** Of the connection: LINE's, or a simulator's. */
  issuer: string
  channelId: string
  sealedSecret: string
  botUserId: string
  linkedRichMenuId: string | null
  unlinkedRichMenuId: string | null
  linkWords: string[]
  updatedAt: Date
}

/** Stores the official account of a connection in the place of the one it had. Rejects with a unique violation when another connection has this bot. */
export async function setOfficialAccount(
  tx: Tx,
  sealer: Sealer,
  input: NewOfficialAccount,
  now: Date,
): Promise<void> {
  const { connectionId, channelSecret, linkedRichMenuId = null, unlinkedRichMenuId = null, ...rest } = input
  const sealedSecret = sealer.seal(channelSecret, channelSecretContext(connectionId))
  const row = { ...rest, sealedSecret, linkedRichMenuId, unlinkedRichMenuId, updatedAt: now }
  await tx.messagingChannel.upsert({
    where: { connectionId },
    create: { ...row, connectionId, createdAt: now },
    update: row,
  })
  await recordEvent(tx, { type: 'official_account.configured', data: { connectionId } }, now)
}

/** False when there was none. */
export async function removeOfficialAccount(tx: Tx, connectionId: string, now: Date): Promise<boolean> {
  const { count } = await tx.messagingChannel.deleteMany({ where: { connectionId } })
  if (count > 0) await recordEvent(tx, { type: 'official_account.removed', data: { connectionId } }, now)
  return count > 0
}

export async function findOfficialAccount(
  tx: Tx,
  connectionId: string,
): Promise<OfficialAccount | undefined> {
  const row = await tx.messagingChannel.findUnique({
    where: { connectionId },
    include: { connection: { select: { issuer: true } } },
  })
  return row ? { ...row, issuer: row.connection.issuer } : undefined
}

export function openChannelSecret(
  sealer: Sealer,
  { connectionId, sealedSecret }: Pick<OfficialAccount, 'connectionId' | 'sealedSecret'>,
): string {
  return sealer.open(sealedSecret, channelSecretContext(connectionId))
}

export const channelSecretContext = (connectionId: string) => `messaging channel secret ${connectionId}`

/** Where LINE delivers what happens in the talk. */
export const webhookUrlOf = (issuer: string, connectionId: string) =>
  `${issuer}/connections/${connectionId}/line/webhook`
