/** What is known when an upstream has vouched for somebody. Member ids throughout. */
export interface LinkFacts {
  /** The member this identity is linked to. */
  linkedTo: string | undefined
  /** The member who is signed in, or has just signed in, in this browser. */
  acting: string | undefined
  /** The member whose proved address equals the one the upstream named. */
  sameEmail: string | undefined
  /** Whether the acting member has another identity of this connection. */
  hasAnotherIdentity: boolean
  /** Whether another member has unlinked it so recently that nobody else may have it yet. */
  isCoolingOff: boolean
}

export type LinkRefusal = 'linked_to_another_member' | 'another_identity_linked' | 'cooling_off'

export type LinkDecision =
  | { action: 'sign_in'; memberId: string }
  | { action: 'register' }
  | { action: 'ask_to_sign_in'; memberId: string }
  | { action: 'ask_to_link'; memberId: string }
  | { action: 'already_linked' }
  | { action: 'refuse'; reason: LinkRefusal }

/** The one decision every way in goes through. No silent move, and an equal address is a hint, never proof. */
export function decideLink({
  linkedTo,
  acting,
  sameEmail,
  hasAnotherIdentity,
  isCoolingOff,
}: LinkFacts): LinkDecision {
  if (linkedTo && acting) {
    return linkedTo === acting
      ? { action: 'already_linked' }
      : { action: 'refuse', reason: 'linked_to_another_member' }
  }
  if (linkedTo) return { action: 'sign_in', memberId: linkedTo }
  if (acting) {
    if (hasAnotherIdentity) return { action: 'refuse', reason: 'another_identity_linked' }
    return isCoolingOff
      ? { action: 'refuse', reason: 'cooling_off' }
      : { action: 'ask_to_link', memberId: acting }
  }
  return sameEmail ? { action: 'ask_to_sign_in', memberId: sameEmail } : { action: 'register' }
}
