import { findConnection } from '../../connections/connection.ts'
import type { HttpContext } from '../../http/context.ts'
import { queryParameter } from '../../http/input.ts'
import { Problem } from '../../problem.ts'
import { linkBrowsers, type TripDeps } from '../upstream-trip.ts'
import { endTrial, endTrip, findTrip } from './trial.ts'
import { showAnswer, showFailure } from './trial-result.ts'

/**
 * Shows what an upstream answered to a trial, when this is such an answer; false when it is not. Same state, connection
 * and browser, and once, as for any other trip; a disabled connection is tried like an enabled one.
 */
export async function receiveTrial(deps: TripDeps, ctx: HttpContext, connectionId: string): Promise<boolean> {
  const { db, store, connector } = deps
  const trip = await findTrip(store, queryParameter(ctx, 'state') ?? '')
  if (trip === undefined) return false
  if (trip === 'over') throw new Problem('trial_over')
  if (trip.connectionId !== connectionId || !linkBrowsers(ctx).includes(trip.browser))
    throw new Problem('wrong_browser')
  const isFirst = (await endTrip(store, trip)) && (await endTrial(store, trip))
  const connection = await findConnection(db, connectionId)
  if (!isFirst || !connection) throw new Problem('trial_over')
  const answer = await connector
    .complete(connection, trip.attempt, new URLSearchParams(ctx.querystring))
    .catch((error: unknown) => ({ error }))
  if ('error' in answer && !('outcome' in answer)) showFailure(ctx, connection, answer.error)
  else showAnswer(ctx, connection, answer)
  return true
}
