import type { RelinkReason } from '../unlink/needs-relink.ts'

/** What an event at an upstream means for a link here. What means nothing is only written down. */
export type Reaction =
  | { react: 'needs_relink'; reason: RelinkReason }
  | { react: 'lift'; reason: RelinkReason }
  | { react: 'unlink'; reason: 'account_purged' | 'identifier_recycled' }
  | { react: 'end_sessions' }

const endSessions: Reaction = { react: 'end_sessions' }
const risc = 'https://schemas.openid.net/secevent/risc/event-type/'
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type/'
const caep = 'https://schemas.openid.net/secevent/caep/event-type/'

/** RISC 1.0 section 2, its OAuth companion, CAEP 1.0 section 3.1, and Apple's words. */
const reactions: Record<string, readonly Reaction[]> = {
  [`${risc}account-purged`]: [{ react: 'unlink', reason: 'account_purged' }, endSessions],
  [`${risc}account-disabled`]: [{ react: 'needs_relink', reason: 'account_disabled' }, endSessions],
  [`${risc}account-enabled`]: [{ react: 'lift', reason: 'account_disabled' }],
  [`${risc}identifier-recycled`]: [{ react: 'unlink', reason: 'identifier_recycled' }, endSessions],
  [`${risc}sessions-revoked`]: [endSessions],
  [`${oauth}tokens-revoked`]: [{ react: 'needs_relink', reason: 'tokens_revoked' }],
  [`${caep}session-revoked`]: [endSessions],
  'consent-revoked': [{ react: 'needs_relink', reason: 'consent_revoked' }, endSessions],
  'account-delete': [{ react: 'unlink', reason: 'account_purged' }, endSessions],
  'account-deleted': [{ react: 'unlink', reason: 'account_purged' }, endSessions],
}

/** The whole policy on what upstreams tell us of their accounts. */
export function reactionsTo(type: string): readonly Reaction[] {
  return Object.hasOwn(reactions, type) ? (reactions[type] ?? []) : []
}
