import type { Claims, ReceivedClaims, VerifiedIdentity } from './connector.ts'
import { kindOf } from './kinds.ts'
import type { Connection } from './settings.ts'

export type AccountFault = 'subject_missing' | 'subject_unusable' | 'subject_not_text' | 'subject_not_integer'

/** What was received names no account that could be linked. */
export class UnusableAccount extends Error {
  readonly fault: AccountFault
  readonly received: ReceivedClaims

  constructor(fault: AccountFault, received: ReceivedClaims = {}) {
    super(`the upstream sent an unusable account: ${fault}`)
    this.name = 'UnusableAccount'
    this.fault = fault
    this.received = received
  }
}

/** The account that verified claims are about. `userinfo` fills in what the ID token leaves out. */
export function toIdentity(connection: Connection, claims: Claims, userinfo: Claims = {}): VerifiedIdentity {
  // An address and the word on it come from one place: never the flag of one with the address of the other.
  const source = typeof claims.email === 'string' ? claims : userinfo
  const email = address(source.email)
  const name = plainName(claims.name) ?? plainName(userinfo.name)
  const isVouchedFor = isTrue(connection, source.email_verified)
  return {
    connectionId: connection.id,
    issuer: connection.issuer,
    subject: usableSubject(claims),
    profile: { ...(name && { name }), ...(email && { email }) },
    emailVerified: connection.settings.trustEmail && email !== undefined && isVouchedFor,
  }
}

const maxNameLength = 100

/** `true`, and nothing that only looks like it, but for what the upstream's documentation says it sends. */
function isTrue({ kind }: Connection, value: unknown): boolean {
  return value === true || (kindOf(kind).verifiedAs?.includes(value) ?? false)
}

/** OpenID Connect Core 2: sub is a string of at most 255 ASCII characters; anything else would not stay one account. */
export function usableSubject({ sub }: Claims): string {
  if (sub === undefined || sub === null || sub === '') throw new UnusableAccount('subject_missing')
  if (typeof sub !== 'string') throw new UnusableAccount('subject_not_text')
  if (!/^[\x21-\x7e]{1,255}$/.test(sub)) throw new UnusableAccount('subject_unusable')
  return sub
}

/** A name as plain text, or nothing: upstream values are shown to members and must be harmless and short. */
export function plainName(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const clean = value
    .normalize('NFC')
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '')
    .trim()
  // Not in the middle of a character: half of one can be neither stored nor shown.
  return clean ? clean.slice(0, maxNameLength).replace(/[\ud800-\udbff]$/, '') : undefined
}

/**
 * An address as it was sent, or nothing. It is never cleaned, folded or cut: what the upstream proved is this mailbox,
 * and another way to write it may be somebody else's.
 */
function address(value: unknown): string | undefined {
  const isPlain =
    typeof value === 'string' && value.length <= 254 && /^[\x21-\x7e]+@[A-Za-z0-9.-]+$/.test(value)
  return isPlain ? value : undefined
}
