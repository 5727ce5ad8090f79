export type Listener = (message: string) => void

/** Who listens on which channel. A listener that throws is reported, and stops neither the others nor the sender. */
export function createListeners(onError: (error: Error) => void) {
  const channels = new Map<string, Set<{ listener: Listener }>>()
  return {
    /** Returns what removes it again; a function added twice is called twice. */
    add: (channel: string, listener: Listener): (() => void) => {
      const present = channels.get(channel) ?? new Set()
      const entry = { listener }
      channels.set(channel, present.add(entry))
      return () => {
        if (present.delete(entry) && present.size === 0) channels.delete(channel)
      }
    },
    /** Calls those of the channel in the order they came, except who was removed meanwhile. */
    deliver: (channel: string, message: string): void => {
      const present = channels.get(channel)
      for (const entry of [...(present ?? [])]) {
        if (!present?.has(entry)) continue
        try {
          entry.listener(message)
        } catch (error) {
          onError(error instanceof Error ? error : new Error(String(error)))
        }
      }
    },
    has: (channel: string): boolean => channels.has(channel),
    channels: (): string[] => [...channels.keys()],
    clear: (): void => channels.clear(),
  }
}
