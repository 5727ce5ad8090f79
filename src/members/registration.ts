import { recordEvent } from '../events/outbox.ts'
import { type Budget, spend } from '../http/rate-limit.ts'
import type { Random } from '../security/random.ts'
import { type Db, inTransaction, isUniqueViolation } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { Member } from '../store/generated/client.ts'
import { normalizeEmail } from './contact-point.ts'
import type { CodeVerdict, EmailCodes } from './email-code.ts'
import { createMember } from './member.ts'

const ttlSeconds = 3600
const perSource: Budget = { name: 'registration-source', limit: 30, windowSeconds: 3600 }
const perAddress: Budget = { name: 'registration-address', limit: 5, windowSeconds: 3600 }

/** What somebody typed who wants to be a member. Nothing of it is a member until the address is proved. */
export interface PendingRegistration {
  email: string
  name: string
  passwordHash?: string
  locale: string
}

export interface RegistrationDeps {
  db: Db
  store: Ephemeral
  random: Random
  codes: EmailCodes
}

/**
 * Keeps the registration and has a code sent. Does and answers the same whether or not the address is a member's: that
 * member gets a message without a code instead (OWASP ASVS 6.3.8).
 * @throws Problem too_many_requests
 */
export async function beginRegistration(
  deps: RegistrationDeps,
  pending: PendingRegistration,
  source: string,
  now: Date,
): Promise<string> {
  await spend(deps.store, perSource, source)
  const registrationId = deps.random.token(16)
  await deps.store.set(`registration:${registrationId}`, JSON.stringify(pending), ttlSeconds)
  await requestRegistrationCode(deps, registrationId, now)
  return registrationId
}

/** Sends a code (again). False when the registration is over. @throws Problem too_many_requests */
export async function requestRegistrationCode(
  deps: RegistrationDeps,
  registrationId: string,
  now: Date,
): Promise<boolean> {
  const pending = await findRegistration(deps.store, registrationId)
  if (!pending) return false
  await spend(deps.store, perAddress, normalizeEmail(pending.email))
  await recordEvent(deps.db, { type: 'registration.code_requested', data: { registrationId } }, now)
  return true
}

export async function findRegistration(
  store: Ephemeral,
  registrationId: string,
): Promise<PendingRegistration | undefined> {
  const stored = await store.get(`registration:${registrationId}`)
  return stored ? JSON.parse(stored) : undefined
}

export type RegistrationResult =
  | { outcome: 'registered'; member: Member }
  | { outcome: 'over' }
  | Exclude<CodeVerdict, { outcome: 'right' }>

/**
 * Turns a proved registration into a member, once. `alsoIn` runs in the same transaction, e.g. to link the identity
 * the member came with.
 */
export async function completeRegistration(
  deps: RegistrationDeps,
  registrationId: string,
  code: string,
  now: Date,
): Promise<RegistrationResult> {
  const pending = await findRegistration(deps.store, registrationId)
  if (!pending) return { outcome: 'over' }
  const verdict = await deps.codes.redeem(registrationId, code)
  if (verdict.outcome !== 'right') return verdict
  try {
    const { email, name, passwordHash, locale } = pending
    const member = await inTransaction(deps.db, (tx) =>
      createMember(tx, { email, name, passwordHash, locale }, now),
    )
    await deps.store.delete(`registration:${registrationId}`)
    return { outcome: 'registered', member }
  } catch (error) {
    // Another registration of the same address was completed meanwhile.
    if (isUniqueViolation(error)) return { outcome: 'over' }
    throw error
  }
}
