import { errors } from 'jose'
import { ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client'
import { Problem } from '../problem.ts'
import type { ReceivedClaims } from './connector.ts'
import { type AccountFault, UnusableAccount } from './identity-claims.ts'
import { UnusableUserinfo } from './userinfo.ts'

/** What went wrong at an upstream, as whoever sets up a connection can mend it. */
export type UpstreamFault =
  | AccountFault
  | 'subject_differs'
  | 'address_refused'
  | 'unreachable'
  | 'client_refused'
  | 'code_refused'
  | 'token_refused'
  | 'not_json'
  | 'status'
  | 'issuer'
  | 'id_token'
  | 'secret_unsealed'
  | 'unknown'

export interface UpstreamFailure {
  fault: UpstreamFault
  /** The words of whoever noticed it; never a token, a code or a secret. */
  detail: string
  received: ReceivedClaims
}

/** Whether an upstream could not be reached, or what it said does not hold. */
export function isUpstreamProblem(error: unknown): error is Problem {
  return (
    error instanceof Problem &&
    (error.code === 'upstream_unreachable' || error.code === 'unexpected_upstream_answer')
  )
}

/** Whether a trip to an upstream ended for a reason of its own, which whoever waits for it is told, and may go another way. */
export function isTripProblem(error: unknown): error is Problem {
  return isUpstreamProblem(error) || (error instanceof Problem && error.code === 'connection_unavailable')
}

/** Why a trip to an upstream failed, from the cause of the problem it ended with. */
export function explainFailure(error: unknown): UpstreamFailure {
  const causes = chainOf(error)
  const account = causes.find((cause) => cause instanceof UnusableAccount)
  const detail = causes.map(messageOf).filter(Boolean).at(-1) ?? ''
  if (account) return { fault: account.fault, detail: '', received: account.received }
  return { fault: faultOf(causes), detail: detail.slice(0, 300), received: {} }
}

const byCode: Readonly<Record<string, UpstreamFault>> = {
  OAUTH_RESPONSE_IS_NOT_JSON: 'not_json',
  OAUTH_PARSE_ERROR: 'not_json',
  OAUTH_RESPONSE_IS_NOT_CONFORM: 'status',
  OAUTH_JWT_TIMESTAMP_CHECK_FAILED: 'id_token',
  OAUTH_JWT_CLAIM_COMPARISON_FAILED: 'id_token',
  OAUTH_KEY_SELECTION_FAILED: 'id_token',
  OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED: 'subject_differs',
  OAUTH_TIMEOUT: 'unreachable',
}

function faultOf(causes: readonly unknown[]): UpstreamFault {
  const messages = causes.map(messageOf).join(' ')
  if (/outbound request refused/.test(messages)) return 'address_refused'
  if (/no sealing key opens/.test(messages)) return 'secret_unsealed'
  const userinfo = causes.find((cause) => cause instanceof UnusableUserinfo)
  if (userinfo) return userinfo.fault
  const answered = causes.find((cause) => cause instanceof ResponseBodyError)
  if (answered) return tokenFault(answered.error)
  if (causes.some((cause) => cause instanceof WWWAuthenticateChallengeError)) return 'client_refused'
  if (/issuer|"iss"/i.test(messages)) return 'issuer'
  const code = causes.map((cause) => (cause instanceof ClientError ? cause.code : undefined)).find(Boolean)
  if (code && byCode[code]) return byCode[code]
  if (
    causes.some((cause) => cause instanceof errors.JOSEError) ||
    /id.?token|JWT|JWS|signature/i.test(messages)
  )
    return 'id_token'
  return causes.some((cause) => cause instanceof TypeError) ? 'unreachable' : 'unknown'
}

/** RFC 6749 section 5.2. */
function tokenFault(error: string): UpstreamFault {
  if (error === 'invalid_client' || error === 'unauthorized_client') return 'client_refused'
  return error === 'invalid_grant' ? 'code_refused' : 'token_refused'
}

/** An error and what led to it, the first cause last. */
export function chainOf(error: unknown): unknown[] {
  const cause = error instanceof Error ? error.cause : undefined
  return cause === undefined ? [error] : [error, ...chainOf(cause)]
}

export function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message || cause.name
  return typeof cause === 'string' ? cause : ''
}
