import type { OwnerProof } from './proof.ts'

export interface ChoiceFacts {
  proof: OwnerProof
  /** Without this account the owner could not sign in any more. */
  isOwnersLastWay: boolean
  /** The claimant has another account of this connection. */
  hasAnotherIdentity: boolean
}

export type NotOffered = 'owner_not_proved' | 'owners_last_way' | 'another_identity_linked'

/** What a claimant may choose beside leaving everything as it is, which is always theirs. */
export interface Choices {
  move: 'offered' | NotOffered
  merge: 'offered' | NotOffered
  /** Asking an operator to look at it. */
  raise: boolean
}

export function decideChoices({ proof, isOwnersLastWay, hasAnotherIdentity }: ChoiceFacts): Choices {
  if (!proof.proved) return { move: 'owner_not_proved', merge: 'owner_not_proved', raise: true }
  return { move: moveOf(isOwnersLastWay, hasAnotherIdentity), merge: 'offered', raise: false }
}

/** One account of a connection for each member, and nobody is left without a way to sign in. */
export function moveOf(isOwnersLastWay: boolean, hasAnotherIdentity: boolean): Choices['move'] {
  if (hasAnotherIdentity) return 'another_identity_linked'
  return isOwnersLastWay ? 'owners_last_way' : 'offered'
}
