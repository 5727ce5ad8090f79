import { findConflict } from '../linking/conflict/queue.ts'
import type { Db } from '../store/db.ts'
import { findMember, type MemberView, memberParts } from './member-view.ts'
import { moment } from './output.ts'

/** One conflict with both members as they are now. */
export async function findConflictView(db: Db, id: string, now: Date) {
  const found = await findConflict(db, id)
  if (!found) return undefined
  const { open: _, ...conflict } = found.conflict
  const owner = await findMember(db, conflict.ownerId, now)
  const claimant = await findMember(db, conflict.claimantId, now)
  return { ...found, conflict, owner, claimant, inCommon: owner && claimant ? inCommon(owner, claimant) : [] }
}
type ConflictView = NonNullable<Awaited<ReturnType<typeof findConflictView>>>

/** What both have, by what it is called: a hint, never a proof. */
function inCommon(one: MemberView, other: MemberView): string[] {
  const both = (first: readonly string[], second: readonly string[]) =>
    first.filter((it) => second.includes(it))
  const clients = ({ services }: MemberView) => services.map(({ clientId }) => clientId)
  const connections = ({ linkedAccounts }: MemberView) => linkedAccounts.map(({ connection }) => connection)
  return [
    ...(one.name && one.name === other.name ? ['name'] : []),
    ...both(connections(one), connections(other)).map((id) => `connection ${id}`),
    ...both(clients(one), clients(other)).map((id) => `service ${id}`),
  ]
}

/** The lines that describe a conflict to people. */
export function conflictParts(
  view: ConflictView,
): (readonly [string, string | readonly string[] | undefined])[] {
  const { conflict, owner, claimant, heldBy, agreements, earlier, merges } = view
  const prefixed = (side: string, member: MemberView | undefined) =>
    member ? memberParts(member).map(([label, value]) => [`${side} ${label}`, value] as const) : []
  return [
    ['id', conflict.id],
    ['state', conflict.outcome ?? 'open'],
    ['connection', conflict.connectionId],
    ['account', `${conflict.subject} at ${conflict.issuer}`],
    ['held now by', heldBy === null ? 'nobody' : sideOf(view, heldBy)],
    ['claimed by way of', conflict.way],
    ['found', moment(conflict.foundAt)],
    ['asked for', conflict.raisedAt ? moment(conflict.raisedAt) : 'no'],
    ['decided', conflict.decidedAt ? `${moment(conflict.decidedAt)} by ${conflict.decidedBy}` : undefined],
    ['note', conflict.note ?? undefined],
    ...prefixed('owner', owner),
    ...prefixed('claimant', claimant),
    ['in common', view.inCommon.length > 0 ? view.inCommon : 'nothing'],
    [
      'agreements',
      agreements.map(
        ({ memberId, way, agreedAt, endedAt }) =>
          `${sideOf(view, memberId)} ${moment(agreedAt)} by way of ${way}${endedAt ? `, until ${moment(endedAt)}` : ''}`,
      ),
    ],
    [
      'other conflicts',
      earlier.map(
        ({ id, outcome, decidedBy, foundAt }) =>
          `${id} found ${moment(foundAt)}: ${outcome ? `${outcome} by ${decidedBy}` : 'open'}`,
      ),
    ],
    [
      'merges',
      merges.map(
        ({ id, mergedAt, undoneAt }) =>
          `${id} ${moment(mergedAt)}${undoneAt ? `, undone ${moment(undoneAt)}` : ''}`,
      ),
    ],
  ]
}

function sideOf({ conflict }: ConflictView, memberId: string): string {
  if (memberId === conflict.ownerId) return 'the owner'
  return memberId === conflict.claimantId ? 'the claimant' : memberId
}
