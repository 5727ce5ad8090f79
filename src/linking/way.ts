/** How an account comes to be linked. Every way leads through the same decision, consent and application. */
export const ways = [
  'account_page',
  'client_request',
  'sign_in',
  'app_token',
  'line_message',
  'link_ticket',
  'qr_code',
  'prompt',
  'management',
  'import',
] as const
export type Way = (typeof ways)[number]

/** What is counted of a link in progress, from the first press on: told with each of its events. */
export interface LinkTrail {
  connectionId: string
  way: Way
  /** The relying party that sent the member, or waits for them. */
  clientId?: string
  campaignId?: string
}

/** The trail of whatever carries one, and nothing else of it. */
export function trailOf({ connectionId, way, clientId, campaignId }: LinkTrail): LinkTrail {
  return { connectionId, way, ...(clientId && { clientId }), ...(campaignId && { campaignId }) }
}
