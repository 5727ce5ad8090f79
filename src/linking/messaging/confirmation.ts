import { accountLinkUrl } from '../../connections/line-messaging/line-messaging.ts'
import type { WebhookEvent } from '../../connections/line-messaging/webhook.ts'
import type { Connection } from '../../connections/settings.ts'
import { Problem } from '../../problem.ts'
import { digest } from '../../security/digest.ts'
import type { Random } from '../../security/random.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import type { AgreedLink } from '../link.ts'
import type { LinkTransaction, Transactions } from '../transaction.ts'

/** A nonce counts for ten minutes; it is kept longer, for an event that we have but could not handle yet. */
const lifeMs = 600_000
const keptSeconds = 3_600

/** What a member has agreed to and LINE is asked to confirm. Kept under the digest of the nonce LINE gives back. */
export interface Confirmation {
  agreed: AgreedLink
  transactionId: string
  browser: string
  /** In milliseconds. */
  expiresAt: number
  /** The notice that has used the nonce up. */
  takenBy?: string
}

/**
 * Where LINE confirms what was agreed. Agreeing again makes a new nonce, and the one before is of no more use.
 * @throws Problem transaction_over when the transaction changed meanwhile
 */
export async function askLine(
  { store, random, transactions }: { store: Ephemeral; random: Random; transactions: Transactions },
  connection: Connection,
  transaction: LinkTransaction,
  agreed: AgreedLink,
  now: Date,
): Promise<URL> {
  const { invited, awaits, id: transactionId, browser } = transaction
  if (!invited) throw new Problem('transaction_over')
  const nonce = random.token()
  const confirmation: Confirmation = {
    ...{ agreed, transactionId, browser },
    expiresAt: now.getTime() + lifeMs,
  }
  await transactions.change(transaction, { awaits: digest(nonce) })
  await store.set(confirmationKey(digest(nonce)), JSON.stringify(confirmation), keptSeconds)
  if (awaits) await store.delete(confirmationKey(awaits))
  return accountLinkUrl(connection.issuer, invited.linkToken, nonce)
}

/**
 * Uses a nonce up for one notice, which gets it again when it is handled again. Undefined when there is none, or
 * another notice has used it.
 */
export async function takeConfirmation(
  store: Ephemeral,
  nonce: string,
  noticeId: string,
): Promise<Confirmation | undefined> {
  const key = confirmationKey(digest(nonce))
  const stored = await store.get(key)
  if (stored === undefined) return undefined
  const confirmation: Confirmation = JSON.parse(stored)
  if (confirmation.takenBy !== undefined) return confirmation.takenBy === noticeId ? confirmation : undefined
  const taken = { ...confirmation, takenBy: noticeId }
  if (await store.replace(key, stored, JSON.stringify(taken))) return taken
  // Changed in between: by the same notice in another process, by another notice, or withdrawn.
  return takeConfirmation(store, nonce, noticeId)
}

/** The member no longer agrees. False when LINE has confirmed it already. */
export async function withdrawConfirmation(
  store: Ephemeral,
  { awaits }: Pick<LinkTransaction, 'awaits'>,
): Promise<boolean> {
  if (!awaits) return true
  const key = confirmationKey(awaits)
  const stored = await store.get(key)
  if (stored === undefined) return true
  const confirmation: Confirmation = JSON.parse(stored)
  const withdrawn = { ...confirmation, takenBy: 'the member' }
  return confirmation.takenBy === undefined && store.replace(key, stored, JSON.stringify(withdrawn))
}

export type ConfirmationVerdict =
  | { action: 'link'; confirmation: Confirmation }
  | { action: 'refuse'; reason: ConfirmationRefusal; confirmation?: Confirmation }

type ConfirmationRefusal = 'line_confirmation_unknown' | 'line_confirmation_over' | 'line_account_differs'

/** What LINE's word on a nonce means. `receivedAt` is when the word reached us, however late it is judged. */
export function judgeConfirmation(
  confirmation: Confirmation | undefined,
  { link, source }: Extract<WebhookEvent, { type: 'accountLink' }>,
  { connectionId, receivedAt }: { connectionId: string; receivedAt: Date },
): ConfirmationVerdict {
  if (!confirmation || confirmation.agreed.connectionId !== connectionId)
    return { action: 'refuse', reason: 'line_confirmation_unknown' }
  // Whoever opened LINE's page is not who asked in the talk: the link was passed on.
  if (link.result === 'failed') return { action: 'refuse', reason: 'line_account_differs', confirmation }
  // The nonce of one person's agreement beside the link token of another.
  if (source?.userId !== confirmation.agreed.identity.subject)
    return { action: 'refuse', reason: 'line_account_differs', confirmation }
  if (receivedAt.getTime() > confirmation.expiresAt)
    return { action: 'refuse', reason: 'line_confirmation_over', confirmation }
  return { action: 'link', confirmation }
}

const confirmationKey = (nonceDigest: string) => `line-confirmation:${nonceDigest}`
