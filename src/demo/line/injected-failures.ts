import { setTimeout as delay } from 'node:timers/promises'
import type { Context, Next } from 'koa'
import type { Simulator } from './simulator.ts'
import type { InjectedFailure } from './state.ts'

const texts: Record<number, string> = {
  401: 'Authentication failed due to the following reason: invalid token.',
  429: 'The API rate limit has been exceeded. Try again later.',
  500: 'Internal server error',
}

/** Carries out the failures ordered through the control API, each as often as it was ordered. */
export function injectFailures(sim: Simulator) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const failure = takeFailure(sim, ctx)
    if (!failure) return next()
    if (failure.delayMs > 0) await delay(failure.delayMs)
    if (failure.moment === 'after') await next()
    if (failure.resetConnection) {
      ctx.respond = false
      ctx.req.socket.destroy()
      return
    }
    // A status of 0 means that the call is only slow.
    if (failure.status === 0) return failure.moment === 'after' ? undefined : next()
    ctx.status = failure.status
    ctx.body = { message: texts[failure.status] ?? 'Failure ordered through the control API' }
  }
}

function takeFailure(sim: Simulator, ctx: Context): InjectedFailure | undefined {
  if (ctx.path.startsWith('/__sim')) return undefined
  const failure = sim.state.failures.find(
    ({ method, pathPrefix, remaining }) =>
      remaining > 0 && ctx.path.startsWith(pathPrefix) && (method === undefined || method === ctx.method),
  )
  if (failure) failure.remaining -= 1
  return failure
}
