import type { EventType } from '../../events/event.ts'

/** The steps of a link, in their order; after the last one it may end again. */
export const steps = ['shown', 'started', 'proved', 'conflict', 'consented', 'linked', 'unlinked'] as const
export type Step = (typeof steps)[number]

export const eventOf = {
  shown: 'link.prompted',
  started: 'link.started',
  proved: 'link.proved',
  conflict: 'link.conflict_found',
  consented: 'link.consented',
  linked: 'identity.linked',
  unlinked: 'identity.unlinked',
} as const satisfies Record<Step, EventType>

export const groupings = ['day', 'client', 'campaign', 'way'] as const
export type Grouping = (typeof groupings)[number]

/** One line of the funnel. `key`: a day (2027-04-01) or an id; empty for what has none. */
export type FunnelRow = { key: string } & Record<Step, number>

export interface Counted {
  key: string
  step: Step
  count: number
}

/** One row for each key, in their order; `keys` have one even where nothing was counted. */
export function toRows(counted: readonly Counted[], keys: readonly string[] = []): FunnelRow[] {
  const rows = new Map(keys.map((key) => [key, emptyRow(key)]))
  for (const { key, step, count } of counted) {
    const row = rows.get(key) ?? emptyRow(key)
    row[step] += count
    rows.set(key, row)
  }
  return [...rows.values()].sort((one, other) => (one.key < other.key ? -1 : 1))
}

export function totalOf(rows: readonly FunnelRow[]): FunnelRow {
  const total = emptyRow('')
  for (const row of rows) for (const step of steps) total[step] += row[step]
  return total
}

const emptyRow = (key: string): FunnelRow => ({
  ...{ key, shown: 0, started: 0, proved: 0, conflict: 0, consented: 0, linked: 0, unlinked: 0 },
})

const dayMs = 86_400_000
/** Japan has had no daylight saving time since 1951. */
const japanMs = 9 * 3_600_000

/** The day in Japan: 2027-04-01. */
export function dayOf(moment: Date): string {
  return new Date(moment.getTime() + japanMs).toISOString().slice(0, 10)
}

/** When a day begins in Japan. */
export function startOfDay(day: string): Date {
  return new Date(Date.parse(`${day}T00:00:00Z`) - japanMs)
}

export function endOfDay(day: string): Date {
  return new Date(startOfDay(day).getTime() + dayMs)
}

/** The days from the one to the other, both included. */
export function daysBetween(first: string, last: string): string[] {
  const begin = Date.parse(`${first}T00:00:00Z`)
  const count = Math.round((Date.parse(`${last}T00:00:00Z`) - begin) / dayMs) + 1
  return Array.from({ length: Math.max(0, count) }, (_, at) =>
    new Date(begin + at * dayMs).toISOString().slice(0, 10),
  )
}

/** The range in pieces of at most a week. */
export function slices(from: Date, to: Date): [from: Date, to: Date][] {
  const pieces: [Date, Date][] = []
  for (let at = from.getTime(); at < to.getTime(); at += 7 * dayMs)
    pieces.push([new Date(at), new Date(Math.min(at + 7 * dayMs, to.getTime()))])
  return pieces
}
