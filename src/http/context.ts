import type { Middleware, ParameterizedContext } from 'koa'
import type { Logger } from '../telemetry/logger.ts'
import type { Locale, Translate } from './i18n.ts'

/** The member's browser session, as the engine keeps it. There is no second login cookie. */
export interface BrowserSession {
  memberId: string
  /** Stays when the session's cookie is renewed; other state is bound to this, never to the cookie's value. */
  uid: string
  signedInAt: Date
  amr: readonly string[]
}

/** What is the same on every page of this installation. */
export interface Site {
  issuer: string
  serviceName: string
  termsUrl: string | undefined
  privacyUrl: string | undefined
}

/** What the shell puts on every request. Reading what is for people sets the headers that go with it. */
export interface HttpState {
  requestId: string
  /** The moment the request arrived: the one clock reading its handlers use. */
  now: Date
  readonly log: Logger
  site: Site
  /** Assigned only by whoever learns late which language was asked for. */
  locale: Locale
  readonly t: Translate
  readonly browserId: string
  /** Scripts that carry it may run in the page this request is answered with. */
  readonly nonce: string
  session?: BrowserSession | undefined
}

export type HttpContext = ParameterizedContext<HttpState>
export type HttpMiddleware = Middleware<HttpState>
