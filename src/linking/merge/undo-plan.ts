import type { MemberStatus, Merge } from '../../store/generated/client.ts'
import { isUnchanged, keyAfter, type RowChange, type RowWrite, type Values } from './row-change.ts'

export interface UndoFacts {
  /** Undefined: there is no such merge. */
  merge: Merge | undefined
  survivor: MemberStatus | undefined
  /** What the merge touched, in order, each with the row as it is now; undefined: it is gone. */
  journal: readonly { change: RowChange; row: Values | undefined }[]
  /** Of what was unlinked since, the rows among the survivor's former identities. */
  formerIds: readonly string[]
  ways: {
    survivorPassword: boolean
    absorbedPassword: boolean
    survivorEmails: number
    /** Identities the survivor could sign in with now. */
    identityIds: readonly string[]
  }
}

export type UndoRefusal =
  | 'not_found'
  | 'undone'
  | 'over'
  /** The survivor was itself absorbed, or is deleted. */
  | 'survivor_gone'
  /** What the members did since would leave one of them without a way to sign in. */
  | 'survivor_without_sign_in'
  | 'absorbed_without_sign_in'

export interface UndoPlan {
  action: 'undo'
  writes: RowWrite[]
  /** What the merge touched and was changed since: it stays as it is, with the survivor. */
  kept: RowChange[]
  /** Clients whose grant went on with the survivor, and those whose grant was taken back since. */
  services: { continued: string[]; revoked: string[] }
}

/**
 * Whether a merge can be undone, and what that does. Every row goes back to what it was, unless it was changed since:
 * then whatever was done since stands. What was added since stays with the survivor. Nobody is left without a way in.
 */
export function planUndo(facts: UndoFacts, now: Date): UndoPlan | { action: 'refuse'; reason: UndoRefusal } {
  const { merge, survivor, journal, formerIds } = facts
  const refuse = (reason: UndoRefusal) => ({ action: 'refuse', reason }) as const
  if (!merge) return refuse('not_found')
  if (merge.undoneAt) return refuse('undone')
  if (merge.undoUntil <= now) return refuse('over')
  if (survivor !== 'active' && survivor !== 'suspended') return refuse('survivor_gone')

  const touched = journal.filter(({ change }) => change.before !== null)
  const [back, kept] = [
    touched.filter(({ change, row }) => row && isUnchanged(row, change.after)),
    touched.filter(({ change, row }) => !row || !isUnchanged(row, change.after)),
  ]
  const fault = wayFault(
    facts,
    back.map(({ change }) => change),
  )
  if (fault) return refuse(fault)
  const grants = journal.filter(({ change }) => change.table === 'Grant')
  const clientIds = (some: typeof journal) => some.map(({ change }) => String(change.after.clientId))
  return {
    action: 'undo',
    writes: [
      ...back.map(({ change }) => ({
        table: change.table,
        key: keyAfter(change),
        set: change.before ?? {},
      })),
      // It was the absorbed member's when it was unlinked, and is held back for nobody else.
      ...formerIds.map((id) => ({
        table: 'FormerIdentity' as const,
        key: { id },
        set: { memberId: merge.absorbedId },
      })),
    ].reverse(),
    kept: kept.map(({ change }) => change),
    services: {
      continued: clientIds(grants.filter(({ row }) => row)),
      revoked: clientIds(grants.filter(({ row }) => !row)),
    },
  }
}

/** Whoever could sign in before can do so after; who never could, as somebody an import brought, is no worse off. */
function wayFault({ ways, journal }: UndoFacts, back: readonly RowChange[]): UndoRefusal | undefined {
  const returned = new Set(back.filter(({ table }) => table === 'FederatedIdentity').map(({ key }) => key.id))
  const passwordBack = back.some(({ table }) => table === 'PasswordCredential')
  const emailsBack = back.filter(({ table }) => table === 'ContactPoint').length
  const had = journal.some(({ change: { table } }) => /^(FederatedIdentity|PasswordCredential)$/.test(table))
  // A password is no way in without an address.
  const survivorNow = (ways.survivorPassword && ways.survivorEmails > 0) || ways.identityIds.length > 0
  const survivorThen =
    (ways.survivorPassword && !passwordBack && ways.survivorEmails > emailsBack) ||
    ways.identityIds.some((id) => !returned.has(id))
  const absorbedThen =
    ((ways.absorbedPassword || passwordBack) && emailsBack > 0) ||
    ways.identityIds.some((id) => returned.has(id))
  if (survivorNow && !survivorThen) return 'survivor_without_sign_in'
  if (had && !absorbedThen) return 'absorbed_without_sign_in'
  return undefined
}
