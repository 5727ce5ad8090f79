import type { Tx } from '../../store/db.ts'
import { countSteps } from './count.ts'
import { currentShare, type Share, sharesByClient, sharesByDay } from './rate.ts'
import { daysBetween, endOfDay, type FunnelRow, type Grouping, startOfDay, toRows, totalOf } from './steps.ts'

export interface FunnelQuestion {
  connectionId: string
  /** Days in Japan, both included. */
  from: string
  to: string
  by: Grouping
  clientId?: string | undefined
}

export interface Funnel {
  /** `share`: by day at the end of it, by client that of now. */
  rows: (FunnelRow & { share?: Share | undefined })[]
  total: FunnelRow
  /** Of now. */
  share: Share
}

/** How far links of a connection got in these days, and which share of the members is linked. */
export async function readFunnel(tx: Tx, question: FunnelQuestion, now: Date): Promise<Funnel> {
  const { connectionId, clientId, by } = question
  const days = daysBetween(question.from, question.to)
  const range = { from: startOfDay(question.from), to: endOfDay(question.to) }
  const counted = await countSteps(tx, { ...range, connectionId, by, clientId })
  const rows = toRows(counted, by === 'day' ? days : [])
  const shares = await sharesOf(tx, question, days, now)
  return {
    rows: rows.map((row) => ({ ...row, share: shares.get(row.key) })),
    total: totalOf(rows),
    share: await currentShare(tx, { connectionId, clientId }),
  }
}

async function sharesOf(
  tx: Tx,
  { connectionId, clientId, by }: FunnelQuestion,
  days: readonly string[],
  now: Date,
): Promise<Map<string, Share>> {
  if (by === 'day') return sharesByDay(tx, { connectionId, clientId }, days, now)
  return by === 'client' ? sharesByClient(tx, connectionId) : new Map()
}
