import { errors } from 'oidc-provider'
import { Problem } from '../problem.ts'
import { isDbUnavailable } from '../store/db.ts'
import { StoreUnavailable } from '../store/ephemeral.ts'

/** In words of the engine: what could not be reached now is worth another try. Anything else stays what it is. */
export function tellUnavailable(cause: unknown): never {
  if (cause instanceof StoreUnavailable || isDbUnavailable(cause)) throw unavailable('a store', cause)
  if (cause instanceof Problem && cause.status >= 500) throw unavailable('an upstream', cause)
  throw cause
}

function unavailable(what: string, cause: unknown): Error {
  const error = new errors.TemporarilyUnavailable(`${what} is unavailable, try again`)
  return Object.assign(error, { status: 503, statusCode: 503, cause })
}
