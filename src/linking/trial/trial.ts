import { z } from 'zod'
import type { Attempt } from '../../connections/connector.ts'
import { Problem } from '../../problem.ts'
import type { Ephemeral } from '../../store/ephemeral.ts'
import { type TrialTicket, trialLifeSeconds } from './ticket.ts'

/** One way to an upstream and back, of a trial. Its state is its key. */
export interface TrialTrip {
  attempt: Attempt
  ticketId: string
  connectionId: string
  browser: string
}

const over = 'over'
const lifeSeconds = 2 * trialLifeSeconds

/** The first browser that begins is the trial's. Its binding as it was then. @throws Problem trial_over, wrong_browser */
export async function claimTrial(
  store: Ephemeral,
  { id }: TrialTicket,
  browser: string,
  browsers: readonly string[],
): Promise<string> {
  const key = trialKey(id)
  if (await store.setIfAbsent(key, browser, lifeSeconds)) return browser
  const holder = await store.get(key)
  if (holder === over) throw new Problem('trial_over')
  if (holder === undefined || !browsers.includes(holder)) throw new Problem('wrong_browser')
  return holder
}

export async function isTrialOver(store: Ephemeral, { id }: TrialTicket): Promise<boolean> {
  return (await store.get(trialKey(id))) === over
}

/** True for exactly one answer of a trial, however many trips were begun. */
export async function endTrial(store: Ephemeral, { ticketId, browser }: TrialTrip): Promise<boolean> {
  return store.replace(trialKey(ticketId), browser, over)
}

export async function saveTrip(store: Ephemeral, trip: TrialTrip): Promise<void> {
  await store.set(tripKey(trip.attempt.state), JSON.stringify(trip), lifeSeconds)
}

/** The trip a state belongs to; `over` when its answer has been here. */
export async function findTrip(store: Ephemeral, state: string): Promise<TrialTrip | 'over' | undefined> {
  const stored = stateSchema.safeParse(state).success ? await store.get(tripKey(state)) : undefined
  if (stored === undefined || stored === over) return stored
  return JSON.parse(stored)
}

/** True for exactly one caller. */
export function endTrip(store: Ephemeral, trip: TrialTrip): Promise<boolean> {
  return store.replace(tripKey(trip.attempt.state), JSON.stringify(trip), over)
}

const stateSchema = z.string().regex(/^[\w-]{20,100}$/)
const trialKey = (id: string) => `trial:${id}`
const tripKey = (state: string) => `trial-trip:${state}`
