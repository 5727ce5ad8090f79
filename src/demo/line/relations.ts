import { findMessagingChannel, findPerson, relationOf, type Simulator } from './simulator.ts'
import type { Relation } from './state.ts'
import { createEvent, sendEvents } from './webhooks.ts'

/** The only way a friendship changes: says whether it did, and tells the official account by webhook. */
export function setRelation(
  sim: Simulator,
  channelId: string,
  personId: string,
  relation: Relation,
): boolean {
  const before = relationOf(sim, channelId, personId)
  if (before === relation) return false
  sim.state.relations[`${channelId}:${personId}`] = relation

  const [channel, person] = [findMessagingChannel(sim, channelId), findPerson(sim, personId)]
  if (!channel || !person) return true
  if (relation === 'friend') {
    const event = createEvent(sim, channel, 'follow', person, true)
    sendEvents(sim, channel, [{ ...event, follow: { isUnblocked: before === 'blocked' } }])
  } else if (relation === 'blocked' && before === 'friend') {
    sendEvents(sim, channel, [createEvent(sim, channel, 'unfollow', person, false)])
  }
  return true
}
