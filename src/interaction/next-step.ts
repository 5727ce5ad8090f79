import type { LinkDecision } from '../linking/decide.ts'

/** What is known of an authorization that waits for the person. */
export interface InteractionState {
  /** The engine's prompt. */
  prompt: string
  /** Somebody has proved to be a member in this interaction. */
  signedIn: boolean
  registering: boolean
  recovering: boolean
  /** Set once an upstream has vouched for somebody in this interaction. */
  link: LinkDecision['action'] | undefined
  /** The member who signed in has an agreement to give anew, and was not asked in this interaction yet. */
  renewal: boolean
  /** The member who signed in can be asked to link an account, and has not answered in this interaction yet. */
  offer: boolean
  /** The relying party named a connection, it can be used, and the browser has not been there yet. */
  hinted: boolean
}

export type Step =
  | 'go_to_connection'
  | 'sign_in'
  | 'sign_up'
  | 'verify_email'
  | 'reset_password'
  | 'accept_identity'
  | 'confirm_link'
  | 'renew_consent'
  | 'offer_link'
  | 'follow_link_request'
  | 'grant_consent'
  | 'finish'

/**
 * The one place that orders the steps of an authorization. A step never sends the browser to another step: it saves
 * what it learned and returns here.
 */
export function nextStep(state: InteractionState): Step {
  const { prompt, signedIn, registering, recovering, link, renewal, offer, hinted } = state
  if (prompt === 'consent') return 'grant_consent'
  if (prompt === 'link') return 'follow_link_request'
  if (link === 'sign_in') return 'accept_identity'
  // A conflict is told on the link's own page, where the member who is signed in by now can read it.
  if (link === 'ask_to_link' || link === 'relink' || link === 'refuse') return 'confirm_link'
  if (signedIn && renewal) return 'renew_consent'
  if (signedIn) return offer ? 'offer_link' : 'finish'
  if (registering) return 'verify_email'
  if (recovering) return 'reset_password'
  if (link === 'register') return 'sign_up'
  if (hinted) return 'go_to_connection'
  return prompt === 'create' && link === undefined ? 'sign_up' : 'sign_in'
}
