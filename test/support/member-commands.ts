import fc from 'fast-check'
import { deleteMemberAndLinks } from '../../src/linking/delete-member.ts'
import { applyMerge } from '../../src/linking/merge/apply.ts'
import { undoMerge } from '../../src/linking/merge/undo.ts'
import { unlinkIdentity } from '../../src/linking/unlink/unlink.ts'
import { reactivateMember, suspendMember } from '../../src/members/suspension.ts'
import { Problem, type ProblemCode } from '../../src/problem.ts'
import { systemRandom } from '../../src/security/random.ts'
import { type Db, inTransaction } from '../../src/store/db.ts'
import type { Merge } from '../../src/store/generated/client.ts'
import type { TestApp } from './app.ts'
import { givenIdentity, givenMember } from './given.ts'

/** What can be done to a few members and accounts, by their numbers. */
export type Command =
  | { do: 'link'; member: number; account: number }
  | { do: 'unlink'; member: number; account: number }
  | { do: 'merge'; member: number; other: number }
  | { do: 'undo'; merge: number }
  | { do: 'suspend' | 'reactivate' | 'delete'; member: number }

const members = 4
const accounts = 6
const member = fc.nat({ max: members - 1 })
const account = fc.nat({ max: accounts - 1 })

export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('link' as const), member, account }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('unlink' as const), member, account }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('merge' as const), member, other: member }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('undo' as const), merge: fc.nat({ max: 3 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('suspend' as const, 'reactivate' as const, 'delete' as const),
      member,
    }),
  },
)

/** Members and accounts of one run: nobody else's, in a database of many runs. */
export interface Cast {
  memberIds: string[]
  accounts: { connectionId: string; subject: string }[]
}

/** Half of the members have a password, half of them an account to sign in with; each account may come to anybody. */
export async function givenCast(server: TestApp, connectionIds: readonly string[]): Promise<Cast> {
  const all = await Promise.all(Array.from({ length: members }, () => givenMember(server)))
  const memberIds = all.map(({ id }) => id)
  const [first = '', second = first] = connectionIds
  const cast: Cast = {
    memberIds,
    accounts: Array.from({ length: accounts }, (_, index) => ({
      connectionId: index % 2 === 0 ? first : second,
      subject: `account ${index} of ${memberIds[0]}`,
    })),
  }
  for (const [index, memberId] of [...memberIds.slice(2).entries()]) {
    const own = cast.accounts[index]
    if (own) await givenIdentity(server, { memberId, ...own })
    await server.db.passwordCredential.delete({ where: { memberId } })
  }
  return cast
}

const expected: readonly ProblemCode[] = [
  ...(['identity_linked_to_another_member', 'already_linked', 'identity_cooling_off'] as const),
  ...(['account_unavailable', 'link_not_found', 'last_sign_in_method'] as const),
  ...(['merge_refused', 'merge_undo_refused'] as const),
]

/** True when it was done, false when it was refused for a reason that members and operators are told. */
export async function carryOut(server: TestApp, db: Db, cast: Cast, command: Command): Promise<boolean> {
  try {
    return await act({ ...server, db }, cast, command)
  } catch (error) {
    if (error instanceof Problem && expected.includes(error.code)) return false
    throw error
  }
}

async function act(server: TestApp, cast: Cast, command: Command): Promise<boolean> {
  const { db, sealer, now } = server
  const idOf = (index: number) => cast.memberIds[index] ?? ''
  switch (command.do) {
    case 'link': {
      const chosen = cast.accounts[command.account]
      if (chosen) await givenIdentity(server, { memberId: idOf(command.member), ...chosen })
      return true
    }
    case 'unlink': {
      const { subject = '' } = cast.accounts[command.account] ?? {}
      const identity = await db.federatedIdentity.findFirst({ where: { subject } })
      const owned = { memberId: idOf(command.member), identityId: identity?.id ?? idOf(command.member) }
      await unlinkIdentity(db, { sealer, coolOffDays: 30 }, owned, now())
      return true
    }
    case 'merge': {
      const pair = { survivorId: idOf(command.member), absorbedId: idOf(command.other) }
      const request = { ...pair, decidedBy: 'member', undoDays: 30, random: systemRandom }
      await inTransaction(db, (tx) => applyMerge(tx, request, now()))
      return true
    }
    case 'undo': {
      const merge = await mergeAt(db, cast, command.merge)
      if (merge) await inTransaction(db, (tx) => undoMerge(tx, merge, 'member', now()))
      return merge !== undefined
    }
    case 'suspend':
      return inTransaction(db, (tx) => suspendMember(tx, idOf(command.member), undefined, now()))
    case 'reactivate':
      return inTransaction(db, (tx) => reactivateMember(tx, idOf(command.member), now()))
    case 'delete':
      return inTransaction(db, (tx) => deleteMemberAndLinks(tx, sealer, idOf(command.member), now()))
  }
}

/** The cast's merges that stand, the first one first. */
export async function mergeAt(db: Db, { memberIds }: Cast, index: number): Promise<Merge | undefined> {
  const merges = await db.merge.findMany({
    where: { survivorId: { in: memberIds }, undoneAt: null },
    orderBy: { id: 'asc' },
  })
  return merges[index]
}
