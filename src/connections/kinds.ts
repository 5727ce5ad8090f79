import type { UpstreamKind } from './connector.ts'
import { amazonKind } from './kinds/amazon.ts'
import { appleKind } from './kinds/apple.ts'
import { dAccountKind } from './kinds/d-account.ts'
import { facebookKind } from './kinds/facebook.ts'
import { googleKind } from './kinds/google.ts'
import { lineKind } from './kinds/line.ts'
import { oauth2Kind } from './kinds/oauth2.ts'
import { oidcKind } from './kinds/oidc.ts'
import { rakutenKind } from './kinds/rakuten.ts'
import { shopifyKind } from './kinds/shopify.ts'
import { ticketKind } from './kinds/ticket.ts'
import { xKind } from './kinds/x.ts'
import { yahooJapanKind } from './kinds/yahoo-japan.ts'
import type { Connection, KindName } from './settings.ts'

const all = {
  oidc: oidcKind,
  oauth2: oauth2Kind,
  line: lineKind,
  google: googleKind,
  apple: appleKind,
  'yahoo-japan': yahooJapanKind,
  'd-account': dAccountKind,
  rakuten: rakutenKind,
  amazon: amazonKind,
  facebook: facebookKind,
  x: xKind,
  shopify: shopifyKind,
  ticket: ticketKind,
} satisfies Record<KindName, UpstreamKind>

/** What sets a kind of upstream apart from its protocol. */
export function kindOf(name: KindName): UpstreamKind {
  return all[name]
}

/** Whether a sign-in through it can be shown to be of just now. */
export function provesAfresh({ kind }: Pick<Connection, 'kind'>): boolean {
  return kindOf(kind).provesAfresh
}

/** Whether there is somebody to send a browser to. Accounts of a shop that speaks no such protocol are vouched for. */
export const hasUpstream = (name: KindName) => kindOf(name).protocol !== 'ticket'
