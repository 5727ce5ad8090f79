import { deleteMember } from '../members/deletion.ts'
import type { Tx } from '../store/db.ts'
import { endLink, type UnlinkPolicy } from './unlink/end-link.ts'

/**
 * Deletes a member with their links, each of which ends as any other does. Nobody is left to hold the accounts back for:
 * anybody may link them at once. False unless the member was active or suspended.
 */
export async function deleteMemberAndLinks(
  tx: Tx,
  sealer: UnlinkPolicy['sealer'],
  memberId: string,
  now: Date,
): Promise<boolean> {
  if (!(await deleteMember(tx, memberId, now))) return false
  const identities = await tx.federatedIdentity.findMany({ where: { memberId }, orderBy: { id: 'asc' } })
  for (const identity of identities)
    await endLink(tx, { sealer, coolOffDays: 0 }, identity, 'member_deleted', now)
  return true
}
