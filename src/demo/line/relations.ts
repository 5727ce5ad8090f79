import { relationOf, type Simulator } from './simulator.ts'
import type { Relation } from './state.ts'

/** The only way a friendship changes; says whether it did. */
export function setRelation(
  sim: Simulator,
  channelId: string,
  personId: string,
  relation: Relation,
): boolean {
  const before = relationOf(sim, channelId, personId)
  if (before === relation) return false
  sim.state.relations[`${channelId}:${personId}`] = relation
  return true
}
