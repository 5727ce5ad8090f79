import { presentConnection } from '../../connections/connection.ts'
import type { ReceivedClaims, UpstreamAnswer, VerifiedIdentity } from '../../connections/connector.ts'
import { explainFailure, isUpstreamProblem, type UpstreamFault } from '../../connections/failure.ts'
import type { Connection } from '../../connections/settings.ts'
import type { HttpContext } from '../../http/context.ts'
import { render } from '../../http/render.ts'
import { Problem } from '../../problem.ts'

interface Document {
  kind: string
  text: string
}

/** What the page shows. */
type TrialResult =
  | {
      outcome: 'verified'
      identity: VerifiedIdentity
      received: Document[]
      tokens: { refresh: boolean; expiresAt: Date | undefined }
    }
  | { outcome: 'cancelled' }
  | { outcome: 'refused'; refusal: string; detail: string }
  | { outcome: 'failed'; fault: UpstreamFault; detail: string; received: Document[] }

/** RFC 6749 section 4.1.2.1 and OpenID Connect Core 3.1.2.6: the refusals there are words for. */
const explained = [
  'invalid_request',
  'unauthorized_client',
  'unsupported_response_type',
  'invalid_scope',
  'server_error',
  'temporarily_unavailable',
  'login_required',
  'interaction_required',
  'consent_required',
]

/** What came of a trial, on the page of the callback itself: it is kept nowhere. */
export function showAnswer(ctx: HttpContext, connection: Connection, answer: UpstreamAnswer): void {
  show(ctx, connection, resultOf(answer))
}

function resultOf(answer: UpstreamAnswer): TrialResult {
  switch (answer.outcome) {
    case 'verified': {
      const { identity, received, tokens } = answer
      const expiresAt = tokens.expiresAt === undefined ? undefined : new Date(tokens.expiresAt * 1000)
      return {
        outcome: 'verified',
        identity,
        received: documents(received),
        tokens: { refresh: tokens.refreshToken !== undefined, expiresAt },
      }
    }
    case 'cancelled':
      return { outcome: 'cancelled' }
    case 'refused': {
      const refusal = explained.find((known) => known === answer.error.toLowerCase()) ?? 'other'
      const detail = [answer.error, answer.description].filter(Boolean).join(': ')
      return { outcome: 'refused', refusal, detail }
    }
  }
}

/** What went wrong, in words, with what was received so far. @throws what is no fault of an upstream or a connection */
export function showFailure(ctx: HttpContext, connection: Connection, error: unknown): void {
  if (error instanceof Problem && !isUpstreamProblem(error)) throw error
  const { fault, detail, received } = explainFailure(error)
  // Anything else is a bug of ours.
  if (!(error instanceof Problem) && fault !== 'secret_unsealed') throw error
  show(ctx, connection, { outcome: 'failed', fault, detail, received: documents(received) })
}

function show(ctx: HttpContext, connection: Connection, result: TrialResult): void {
  ctx.set('Cache-Control', 'no-store')
  render(ctx, 'linking/trial-result', {
    connection: presentConnection(connection, ctx.state.locale),
    trustEmail: connection.settings.trustEmail,
    ...result,
  })
}

/** As they came, but for what could be used: a token is not shown even where an upstream puts it among its claims. */
function documents(received: ReceivedClaims): Document[] {
  return Object.entries(received)
    .filter(([, claims]) => claims !== undefined)
    .map(([kind, claims]) => ({ kind, text: JSON.stringify(claims, concealed, 2) }))
}

function concealed(name: string, value: unknown): unknown {
  return typeof value === 'string' && /token|secret|password|^code$/i.test(name) ? '…' : value
}
