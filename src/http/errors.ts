import { Problem, type ProblemCode } from '../problem.ts'
import { isDbUnavailable } from '../store/db.ts'
import { StoreUnavailable } from '../store/ephemeral.ts'
import type { HttpContext, HttpMiddleware } from './context.ts'
import { render } from './render.ts'

/** The one handler of everything thrown: a Problem is answered as it says, anything else is a bug and a 500 that is logged. */
export function answerProblems(): HttpMiddleware {
  return async (ctx, next) => {
    try {
      await next()
      if (ctx.body == null) refuseUnanswered(ctx)
    } catch (error) {
      const problem = toProblem(error)
      logProblem(ctx, problem, error)
      answer(ctx, problem)
    }
    // RFC 9110 section 15.6.4: also where the engine answered; whoever is turned away for now is told for how long.
    if (ctx.status === 503 && !ctx.response.get('Retry-After')) ctx.set('Retry-After', '5')
  }
}

/** Nobody took the request: there is no such page, or it is not asked for like this (the router has set Allow). */
function refuseUnanswered(ctx: HttpContext): void {
  if (ctx.status === 404) throw new Problem('not_found')
  if (ctx.status === 405 || ctx.status === 501) throw new Problem('method_not_allowed')
}

/** The refusal a caller is told about, whatever was thrown. */
function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (isStoreFailure(error)) return new Problem('unavailable', { cause: error })
  const code = isClientError(error) ? (codeOfStatus[error.status] ?? 'invalid_input') : 'internal_error'
  return new Problem(code, { cause: error })
}

/** A store that could not be reached, also where the engine has given that failure a name of its own. */
function isStoreFailure(error: unknown): boolean {
  if (error instanceof StoreUnavailable || isDbUnavailable(error)) return true
  return error instanceof Error && error.cause !== undefined && isStoreFailure(error.cause)
}

const codeOfStatus: Record<number, ProblemCode> = {
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
}

/** Faults of the request that Koa and its body parser throw (http-errors). */
function isClientError(error: unknown): error is { status: number } {
  return error instanceof Error && 'status' in error && typeof error.status === 'number' && error.status < 500
}

function answer(ctx: HttpContext, problem: Problem): void {
  ctx.status = problem.status
  ctx.set({ 'Cache-Control': 'no-store', ...problem.headers })
  const { t, requestId } = ctx.state
  const title = t(`problem.${problem.code}.title`, problem.params)
  const detail = t(`problem.${problem.code}.detail`, problem.params)
  if (ctx.accepts('html', 'json') === 'html') {
    render(ctx, 'error', { code: problem.code, title, detail, requestId })
    return
  }
  // RFC 9457 section 3: problem details.
  const { status, code, fields } = problem
  ctx.type = 'application/problem+json'
  ctx.body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    detail,
    code,
    requestId,
    ...(Object.keys(fields).length > 0 ? { fields } : {}),
  })
}

function logProblem(ctx: HttpContext, problem: Problem, error: unknown): void {
  const cause = problem === error ? problem.cause : error
  if (problem.status >= 500)
    ctx.state.log.error({ problem: problem.code, err: cause ?? error }, 'request failed')
  else
    ctx.state.log.info(
      { problem: problem.code, ...(cause ? { cause: String(cause) } : {}) },
      'request refused',
    )
}
