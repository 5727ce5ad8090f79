import type { VerifiedIdentity } from './connector.ts'
import type { Connection } from './settings.ts'

type Claims = Record<string, unknown>

/** The account that verified claims are about. `userinfo` fills in what the ID token leaves out. */
export function toIdentity(connection: Connection, claims: Claims, userinfo: Claims = {}): VerifiedIdentity {
  // An address and the word on it come from one place: never the flag of one with the address of the other.
  const source = typeof claims.email === 'string' ? claims : userinfo
  const email = address(source.email)
  const name = text(claims.name, 100) ?? text(userinfo.name, 100)
  return {
    connectionId: connection.id,
    issuer: connection.issuer,
    subject: usableSubject(claims),
    profile: { ...(name && { name }), ...(email && { email }) },
    emailVerified: connection.settings.trustEmail && email !== undefined && source.email_verified === true,
  }
}

/** OpenID Connect Core 2: sub is a string of at most 255 ASCII characters; anything else would not stay one account. */
export function usableSubject({ sub }: Claims): string {
  if (typeof sub === 'string' && /^[\x21-\x7e]{1,255}$/.test(sub)) return sub
  throw new Error('the upstream sent an unusable sub')
}

/** A claim as plain text, or nothing: upstream values are shown to members and must be harmless and short. */
function text(value: unknown, maxLength: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const clean = value
    .normalize('NFC')
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '')
    .trim()
  // Not in the middle of a character: half of one can be neither stored nor shown.
  return clean ? clean.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '') : undefined
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
