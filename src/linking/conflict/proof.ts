import type { MemberStatus } from '../../store/generated/client.ts'
import type { Way } from '../way.ts'

/** What is known of the side of the member who holds the account, when another one claims it. */
export interface ProofFacts {
  way: Way
  /** The account was proved within the time in which a sign-in counts as recent. */
  isRecent: boolean
  /** Whoever proves to hold an account of this connection is let in as its member. */
  allowSignIn: boolean
  ownerStatus: MemberStatus
  /** The claimant has signed in to the owner's side as well, within this very transaction. */
  signedInAsOwner: boolean
}

export type UnprovedReason = 'vouched_for' | 'link_only' | 'too_old' | 'owner_unavailable'

export type OwnerProof =
  | { proved: true; by: 'account' | 'sign_in' }
  | { proved: false; reason: UnprovedReason }

/**
 * Whether the claimant has proved the owner's side too. Holding an account that signs in is as good as being its member:
 * the claimant could come in as the owner this minute. An account that only links is not, nor one that somebody else
 * vouches for, nor a proof of a while ago; then only signing in to that side is. What a reason says of the owner is said
 * to nobody who has not proved to be the owner.
 */
export function decideOwnerProof(facts: ProofFacts): OwnerProof {
  const by = facts.signedInAsOwner ? 'sign_in' : 'account'
  const missing = facts.signedInAsOwner ? undefined : missingOf(facts)
  if (missing) return { proved: false, reason: missing }
  return facts.ownerStatus === 'active'
    ? { proved: true, by }
    : { proved: false, reason: 'owner_unavailable' }
}

function missingOf({ way, allowSignIn, isRecent }: ProofFacts): UnprovedReason | undefined {
  if (witness[way] === 'word') return 'vouched_for'
  if (!allowSignIn) return 'link_only'
  return isRecent ? undefined : 'too_old'
}

/**
 * Who says whose account it is: its holder, whom the upstream has sent back to this very browser, or somebody else's
 * word. What was proved elsewhere and came here by an address or a code may have been handed to the wrong person.
 */
const witness: Record<Way, 'holder' | 'word'> = {
  account_page: 'holder',
  client_request: 'holder',
  sign_in: 'holder',
  prompt: 'holder',
  app_token: 'word',
  qr_code: 'word',
  line_message: 'word',
  link_ticket: 'word',
  management: 'word',
  import: 'word',
}
