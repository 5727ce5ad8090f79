/** Every refusal this system gives: code -> HTTP status. The code is API contract, translation key (`problem.<code>.title`), log field and metric label. */
const problems = {
  invalid_input: 400,
  sign_in_required: 401,
  wrong_credentials: 401,
  invalid_token: 401,
  insufficient_scope: 403,
  forbidden: 403,
  cross_site_request: 403,
  form_expired: 403,
  not_found: 404,
  method_not_allowed: 405,
  account_unavailable: 403,
  identity_linked_to_another_member: 409,
  already_linked: 409,
  identity_cooling_off: 409,
  conflict_changed: 409,
  last_sign_in_method: 409,
  link_not_found: 404,
  merge_refused: 409,
  merge_undo_refused: 409,
  connection_unavailable: 404,
  transaction_over: 410,
  trial_over: 410,
  line_link_over: 410,
  line_confirmation_unknown: 400,
  line_confirmation_over: 410,
  line_account_differs: 403,
  wrong_browser: 403,
  wrong_member: 403,
  invitation_over: 410,
  not_vouched_for: 403,
  link_session_over: 410,
  id_token_refused: 400,
  upstream_refused: 400,
  upstream_unreachable: 502,
  unexpected_upstream_answer: 502,
  authorization_not_found: 400,
  interaction_over: 400,
  authorization_refused: 400,
  redirect_uri_mismatch: 400,
  request_uri_over: 400,
  client_disabled: 400,
  client_unavailable: 400,
  code_wrong: 422,
  code_used_up: 410,
  payload_too_large: 413,
  unsupported_media_type: 415,
  misdirected_request: 421,
  too_many_requests: 429,
  internal_error: 500,
  unavailable: 503,
} as const satisfies Record<string, number>

export type ProblemCode = keyof typeof problems

export interface ProblemOptions {
  /** Evidence for the log only; never shown. */
  cause?: unknown
  /** Values the localized message names, e.g. `{ seconds: 30 }`. */
  params?: Record<string, string | number>
  /** Response headers the status needs, e.g. Retry-After. */
  headers?: Record<string, string>
  /** Input faults: field name -> message code. */
  fields?: Record<string, string>
}

/** A refusal that a caller is told about. Anything else that is thrown is a bug and becomes a 500. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly params: Record<string, string | number>
  readonly headers: Record<string, string>
  readonly fields: Record<string, string>

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(code, { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.status = problems[code]
    this.params = options.params ?? {}
    this.headers = options.headers ?? {}
    this.fields = options.fields ?? {}
  }
}

export const problemCodes = Object.keys(problems) as readonly ProblemCode[]
