import { systemRandom } from '../security/random.ts'
import type { Ephemeral } from './ephemeral.ts'
import { createListeners } from './ephemeral-listeners.ts'

export type Topic = 'client' | 'grant' | 'member' | 'connection' | 'resource' | 'keys'

/** Notices between processes that something has changed, so that what they remember of it is dropped at once. */
export interface Changes {
  /**
   * Call it after the change is committed: listeners read again right away. Those of this process have been called
   * when it returns; others are told as well as can be. Never rejects, since the change stands whoever heard of it.
   */
  announce(topic: Topic, id: string): Promise<void>
  /** Notices may be lost: what is remembered must also end by itself soon. */
  on(topic: Topic, listener: (id: string) => void): void
}

const channel = 'changes'

/**
 * Resolves once notices are heard, rejects with `StoreUnavailable` when they cannot be. `onError` is told of notices
 * that could not be sent, and of listeners that threw. It ends with the store.
 */
export async function openChanges(store: Ephemeral, onError: (error: unknown) => void): Promise<Changes> {
  const listeners = createListeners(onError)
  // Our own notice comes back to us, when its listeners have been called already.
  const sender = systemRandom.token(12)
  await store.subscribe(channel, (message) => {
    const [, from, topic, id] = /^(\S+) (\S+) (.*)$/s.exec(message) ?? []
    if (from !== sender && topic !== undefined && id !== undefined) listeners.deliver(topic, id)
  })
  return {
    announce: async (topic, id) => {
      listeners.deliver(topic, id)
      await store.publish(channel, `${sender} ${topic} ${id}`).catch(onError)
    },
    on: (topic, listener) => {
      listeners.add(topic, listener)
    },
  }
}
