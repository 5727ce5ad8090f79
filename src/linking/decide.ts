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
  /** The member it is kept for, not the acting one: who has unlinked it so recently that nobody else may have it yet. */
  heldFor: string | undefined
  /** Whether the upstream has ceased to stand behind the link that there is. */
  needsRelink: boolean
}

export type LinkRefusal = 'linked_to_another_member' | 'another_identity_linked' | 'cooling_off'

export type LinkDecision =
  | { action: 'sign_in'; memberId: string }
  | { action: 'register' }
  | { action: 'ask_to_sign_in'; memberId: string }
  | { action: 'ask_former_member'; memberId: string }
  | { action: 'ask_to_link'; memberId: string }
  | { action: 'relink'; memberId: string }
  | { action: 'already_linked' }
  | { action: 'refuse'; reason: LinkRefusal }

/** The one decision every way in goes through. No silent move, and an equal address is a hint, never proof. */
export function decideLink({
  linkedTo,
  acting,
  sameEmail,
  hasAnotherIdentity,
  heldFor,
  needsRelink,
}: LinkFacts): LinkDecision {
  if (linkedTo && acting) {
    if (linkedTo !== acting) return { action: 'refuse', reason: 'linked_to_another_member' }
    return needsRelink ? { action: 'relink', memberId: acting } : { action: 'already_linked' }
  }
  if (linkedTo) return { action: 'sign_in', memberId: linkedTo }
  if (acting) {
    if (hasAnotherIdentity) return { action: 'refuse', reason: 'another_identity_linked' }
    return heldFor ? { action: 'refuse', reason: 'cooling_off' } : { action: 'ask_to_link', memberId: acting }
  }
  // Nobody new is made of it meanwhile: it may be its former holder, or who has got hold of it.
  if (heldFor) return { action: 'ask_former_member', memberId: heldFor }
  return sameEmail ? { action: 'ask_to_sign_in', memberId: sameEmail } : { action: 'register' }
}
