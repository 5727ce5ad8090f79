import { domainToASCII } from 'node:url'
import { z } from 'zod'
import type { Tx } from '../store/db.ts'
import type { ContactPoint, Member } from '../store/generated/client.ts'

/**
 * One plain address: no quotes, comments, second @, or letters outside ASCII before the @, so that two systems cannot
 * read one text as two addresses.
 */
export const emailAddress = z
  .string({ error: 'required' })
  .trim()
  .min(1, 'required')
  .max(254, 'email_invalid')
  .refine(
    (text) =>
      /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[\p{L}\p{M}\p{N}.-]+$/u.test(text) && hostOf(text) !== '',
    'email_invalid',
  )

/** What uniqueness and sign-in compare: lower case, the domain in its ASCII form. Plus tags stay: they are other mailboxes. */
export function normalizeEmail(email: string): string {
  const local = email.trim().slice(0, email.trim().lastIndexOf('@'))
  return `${local.toLowerCase()}@${hostOf(email.trim())}`
}

/** The domain as DNS has it, or nothing where it is no name of a host: an address in digits, an empty label, a last dot. */
function hostOf(email: string): string {
  const host = domainToASCII(email.slice(email.lastIndexOf('@') + 1)).toLowerCase()
  const labels = host.split('.')
  const named =
    labels.every((label) => /^(?!-)[a-z0-9-]{1,63}$/.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '')
  return named && (labels.length > 1 || host === 'localhost') ? host : ''
}

export function findEmail(tx: Tx, email: string): Promise<(ContactPoint & { member: Member }) | null> {
  const normalized = normalizeEmail(email)
  return tx.contactPoint.findUnique({
    where: { kind_normalized: { kind: 'email', normalized } },
    include: { member: true },
  })
}

/** The address mail to a member goes to. */
export async function primaryEmail(tx: Tx, memberId: string): Promise<string | undefined> {
  const found = await tx.contactPoint.findFirst({ where: { memberId, kind: 'email', isPrimary: true } })
  return found?.value
}
