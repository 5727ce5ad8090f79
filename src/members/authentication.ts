import { recordEvent } from '../events/outbox.ts'
import { type Budget, refund, spend } from '../http/rate-limit.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { Ephemeral } from '../store/ephemeral.ts'
import type { Member } from '../store/generated/client.ts'
import { findEmail, normalizeEmail } from './contact-point.ts'
import type { PasswordHasher } from './credentials/password.ts'
import { lockMember, sessionsValidFrom } from './member.ts'

/** Who proved to be whom, and how (RFC 8176 names). */
export interface SignIn {
  memberId: string
  amr: readonly string[]
  connectionId?: string
  /** The member's `sessionsValidFrom` before the proof: when it is another by the end, the proof is void. */
  validFrom: number
}

/** What a proof amounts to; `member` is as it was read before the proof. */
export function signInOf(member: Member, amr: readonly string[], connectionId?: string): SignIn {
  const validFrom = sessionsValidFrom(member)
  return { memberId: member.id, amr, validFrom, ...(connectionId && { connectionId }) }
}

/**
 * Guesses are counted per source, per account from one source, and per account from anywhere (NIST SP 800-63B-4
 * section 3.2.2: at most 100). A stranger's guesses end before the owner's at home do.
 */
const perSource: Budget = { name: 'sign-in-source', limit: 100, windowSeconds: 900 }
const perAccountAndSource: Budget = { name: 'sign-in-account-source', limit: 10, windowSeconds: 900 }
const perAccount: Budget = { name: 'sign-in-account', limit: 100, windowSeconds: 86_400 }

export interface AuthenticationDeps {
  db: Db
  store: Ephemeral
  hasher: PasswordHasher
}

export interface PasswordAttempt {
  email: string
  password: string
  source: string
}

export type PasswordVerdict =
  | { outcome: 'signed_in'; signIn: SignIn }
  | { outcome: 'wrong_credentials' }
  | { outcome: 'suspended' }

/**
 * Signs in with e-mail and password. An unknown address, a member without a password and a wrong password answer
 * alike, after the same work.
 * @throws Problem too_many_requests
 */
export async function signInWithPassword(
  deps: AuthenticationDeps,
  attempt: PasswordAttempt,
  now: Date,
): Promise<PasswordVerdict> {
  const account = normalizeEmail(attempt.email)
  const fromHere = `${account}|${attempt.source}`
  await spend(deps.store, perSource, attempt.source)
  await spend(deps.store, perAccountAndSource, fromHere)
  await spend(deps.store, perAccount, account)

  const found = await findEmail(deps.db, attempt.email)
  const credential =
    found && (await deps.db.passwordCredential.findUnique({ where: { memberId: found.memberId } }))
  const matches = await deps.hasher.verify(credential?.hash, attempt.password)
  if (!found || !credential || !matches) {
    if (found)
      await recordEvent(
        deps.db,
        { type: 'member.sign_in_failed', memberId: found.memberId, data: { reason: 'wrong_password' } },
        now,
      )
    return { outcome: 'wrong_credentials' }
  }
  if (found.member.status !== 'active') return { outcome: 'suspended' }

  await refund(deps.store, perAccountAndSource, fromHere)
  await refund(deps.store, perAccount, account)
  if (deps.hasher.isOutdated(credential.hash))
    await rehash(deps, found.memberId, credential.hash, attempt.password)
  return { outcome: 'signed_in', signIn: signInOf(found.member, ['pwd']) }
}

/** Only while the hash is the one that was just verified: a password changed meanwhile stays changed. */
async function rehash(
  { db, hasher }: AuthenticationDeps,
  memberId: string,
  oldHash: string,
  password: string,
): Promise<void> {
  const hash = await hasher.hash(password)
  await db.passwordCredential.updateMany({ where: { memberId, hash: oldHash }, data: { hash } })
}

/**
 * Writes down that a session begins, in turn with whatever ends sessions. False when it may not begin: the member may
 * not act any more, or sessions were ended after this proof was given.
 */
export async function recordSignIn(
  db: Db,
  { memberId, amr, connectionId, validFrom }: SignIn,
  clientId: string,
  now: Date,
): Promise<boolean> {
  return inTransaction(db, async (tx) => {
    const member = await lockMember(tx, memberId)
    if (member?.status !== 'active' || sessionsValidFrom(member) !== validFrom) return false
    const data = { amr, clientId, ...(connectionId && { connectionId }) }
    await recordEvent(tx, { type: 'member.signed_in', memberId, data }, now)
    return true
  })
}
