/** What is known when a relying party would like a member to link. */
export interface PromptFacts {
  /** Somebody is signed in here, and has an account of the connection linked. */
  isLinked: boolean
  /** The client may know that: the member's grant to it, or an administrator, says so. */
  mayTell: boolean
  /** The member has asked not to be asked again. */
  isDismissed: boolean
  /** Shown less than the connection's days ago, to this member or, where none is known, in this browser. */
  isCapped: boolean
  /** The prompt was shown at the relying party already, and its button pressed. */
  isPressed: boolean
}

export type PromptDecision = 'go_back' | 'offer' | 'say_linked' | 'link'

/**
 * Whether to ask. Going straight back is seen by the relying party, so it must not tell what that may not know: whether
 * a member is linked is told on a page, to the member, unless the client may see the link itself.
 */
export function decidePrompt(facts: PromptFacts): PromptDecision {
  if (facts.isLinked && facts.mayTell) return 'go_back'
  if (facts.isPressed) return facts.isLinked ? 'say_linked' : 'link'
  if (facts.isDismissed || facts.isCapped) return 'go_back'
  return facts.isLinked ? 'say_linked' : 'offer'
}

/**
 * How many showings the next one stands for: each for itself up to a hundred, then every tenth for ten, from a thousand
 * on every hundredth for a hundred, and so on; 0 for those in between. What is recorded is never more than what was
 * shown, and at most a tenth less.
 */
export function weightOf(count: number): number {
  const step = count <= 100 ? 1 : 10 ** (Math.floor(Math.log10(count - 1)) - 1)
  return count % step === 0 ? step : 0
}
