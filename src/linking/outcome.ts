import type { ProblemCode } from '../problem.ts'

/** How a link transaction ended. Relying parties that asked for the link are told in these words (`link_result`). */
export type LinkOutcome =
  | 'linked'
  | 'already_linked'
  | 'declined'
  | 'conflict_kept'
  | `failed:${ProblemCode | 'linked_to_another_member' | 'another_identity_linked' | 'cooling_off'}`

/** More than the outcome says, for the member alone. */
export type LinkNotice = 'moved' | 'merged'

/** Where a transaction that is over leads the browser: whence it came, with what there is to say there. */
export function pathAfter(
  { purpose, interactionUid, endPath, connectionId, returnTo, clientState }: Returning,
  outcome?: LinkOutcome,
  closer?: LinkNotice,
): string {
  if (returnTo) return backToClient(returnTo, outcome, clientState)
  const notice = closer ?? (outcome && noticeOf(outcome))
  const query = notice ? `?notice=${notice}&connection=${encodeURIComponent(connectionId)}` : ''
  if (endPath !== undefined) return notice ? `${endPath}&notice=${notice}` : endPath
  // A relying party waits for the outcome, and tells it in its own words.
  if (purpose === 'link') return interactionUid ? `/interaction/${interactionUid}` : `/account${query}`
  // A sign-in goes on by itself; only what kept it from going on is said.
  return `/interaction/${interactionUid}${notice === 'declined' || notice === 'link_failed' ? query : ''}`
}

/** What a transaction knows of where it came from. */
interface Returning {
  purpose: 'link' | 'sign_in'
  interactionUid?: string
  endPath?: string
  connectionId: string
  returnTo?: string
  clientState?: string
}

/** `returnTo` was registered by the client; what it says itself stays in it. */
function backToClient(returnTo: string, outcome: LinkOutcome | undefined, state: string | undefined): string {
  const url = new URL(returnTo)
  if (outcome) url.searchParams.set('link_result', outcome)
  if (state !== undefined) url.searchParams.set('state', state)
  return url.href
}

function noticeOf(outcome: LinkOutcome): string {
  if (outcome === 'failed:line_account_differs') return 'line_account_differs'
  return outcome.startsWith('failed:') ? 'link_failed' : outcome
}
