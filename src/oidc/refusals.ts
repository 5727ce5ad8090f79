import { errors } from 'oidc-provider'

/** An error that does not look where it came from. */
class Unstacked extends Error {
  constructor(message?: string, options?: ErrorOptions) {
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    super(message, options)
    Error.stackTraceLimit = limit
  }
}

/**
 * The engine makes the refusals of a request before it knows whether it needs one, each with two stack traces: a fifth
 * of what a userinfo request costs it. A refusal is an answer and no fault, so it carries none; every other error does.
 */
export function dropStacksOfRefusals(): void {
  if (Object.getPrototypeOf(errors.OIDCProviderError) === Unstacked) return
  Object.setPrototypeOf(errors.OIDCProviderError, Unstacked)
  const capture = Error.captureStackTrace
  Error.captureStackTrace = (target, until) => {
    if (!(target instanceof errors.OIDCProviderError)) capture(target, until)
  }
}
