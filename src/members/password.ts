import { recordEvent } from '../events/outbox.ts'
import { type Db, inTransaction } from '../store/db.ts'
import type { PasswordHasher } from './credentials/password.ts'
import { endSessions, lockMember } from './member.ts'

/**
 * Sets the password and ends every session that began before, wherever it is: whoever knew the old one is out.
 * `expectedHash` is the hash the caller has just verified (undefined: none); false when it is another by now.
 */
export async function setPassword(
  { db, hasher }: { db: Db; hasher: PasswordHasher },
  {
    memberId,
    password,
    expectedHash,
    by,
  }: { memberId: string; password: string; expectedHash?: string | undefined; by: 'member' | 'recovery' },
  now: Date,
): Promise<boolean> {
  const hash = await hasher.hash(password)
  return inTransaction(db, async (tx) => {
    // Before its password, as whoever else writes a member's things.
    if (!(await lockMember(tx, memberId))) return false
    if (by === 'member') {
      const where = { memberId, ...(expectedHash !== undefined && { hash: expectedHash }) }
      const { count } =
        expectedHash === undefined
          ? await tx.passwordCredential.createMany({
              data: [{ memberId, hash, changedAt: now }],
              skipDuplicates: true,
            })
          : await tx.passwordCredential.updateMany({ where, data: { hash, changedAt: now } })
      if (count === 0) return false
    } else {
      await tx.passwordCredential.upsert({
        where: { memberId },
        create: { memberId, hash, changedAt: now },
        update: { hash, changedAt: now },
      })
    }
    await recordEvent(tx, { type: 'password.changed', memberId, data: { by } }, now)
    await endSessions(tx, memberId, 'password_changed', now)
    return true
  })
}
