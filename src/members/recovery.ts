import { recordEvent } from '../events/outbox.ts'
import { type Budget, spend } from '../http/rate-limit.ts'
import type { Random } from '../security/random.ts'
import type { Db } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { Member } from '../store/generated/client.ts'
import { findEmail, normalizeEmail } from './contact-point.ts'
import type { PasswordHasher } from './credentials/password.ts'
import type { CodeVerdict, EmailCodes } from './email-code.ts'
import { findActiveMember } from './member.ts'
import { setPassword } from './password.ts'

const ttlSeconds = 3600
const perSource: Budget = { name: 'recovery-source', limit: 30, windowSeconds: 3600 }
const perAddress: Budget = { name: 'recovery-address', limit: 5, windowSeconds: 3600 }

export interface RecoveryDeps {
  db: Db
  store: Ephemeral
  random: Random
  codes: EmailCodes
  hasher: PasswordHasher
}

export interface PendingRecovery {
  email: string
  locale: string
}

/**
 * Has a code sent to the address, if it is a member's; answers alike if it is not (OWASP ASVS 6.3.8).
 * @throws Problem too_many_requests
 */
export async function beginRecovery(
  deps: RecoveryDeps,
  pending: PendingRecovery,
  source: string,
  now: Date,
): Promise<string> {
  await spend(deps.store, perSource, source)
  await spend(deps.store, perAddress, normalizeEmail(pending.email))
  const recoveryId = deps.random.token(16)
  await deps.store.set(`recovery:${recoveryId}`, JSON.stringify(pending), ttlSeconds)
  await recordEvent(deps.db, { type: 'recovery.code_requested', data: { recoveryId } }, now)
  return recoveryId
}

export async function findRecovery(
  store: Ephemeral,
  recoveryId: string,
): Promise<PendingRecovery | undefined> {
  const stored = await store.get(`recovery:${recoveryId}`)
  return stored ? JSON.parse(stored) : undefined
}

export type RecoveryResult =
  | { outcome: 'recovered'; member: Member }
  | { outcome: 'over' }
  | Exclude<CodeVerdict, { outcome: 'right' }>

/** Sets the new password when the code is right, and ends all sessions (account pre-hijacking: an unexpired session dies here). */
export async function completeRecovery(
  deps: RecoveryDeps,
  { recoveryId, code, password }: { recoveryId: string; code: string; password: string },
  now: Date,
): Promise<RecoveryResult> {
  const pending = await findRecovery(deps.store, recoveryId)
  if (!pending) return { outcome: 'over' }
  const verdict = await deps.codes.redeem(recoveryId, code)
  if (verdict.outcome !== 'right') return verdict
  const found = await findEmail(deps.db, pending.email)
  if (found?.member.status !== 'active') return { outcome: 'over' }
  await setPassword(deps, { memberId: found.memberId, password, by: 'recovery' }, now)
  await deps.store.delete(`recovery:${recoveryId}`)
  const member = await findActiveMember(deps.db, found.memberId)
  return member ? { outcome: 'recovered', member } : { outcome: 'over' }
}
