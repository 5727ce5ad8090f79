interface CacheOptions<V> {
  /** No value is older, counted from before it was read. */
  lifetimeMs: number
  maxEntries: number
  now: () => Date
  load: (key: string) => Promise<V>
}

/**
 * What was read a moment ago, in this process. Callers share the value and must not change it. What does not exist
 * (`undefined` or `null`) is not kept: whatever is created is seen at once, and made-up keys drive nothing out.
 */
export interface Cache<V> {
  /** Callers at the same moment share one load. A load that fails, fails for them alone and is not kept. */
  get(key: string): Promise<V>
  /** Whoever asks from here on gets a value read from here on; a load under way answers those who wait for it. */
  drop(key: string): void
  clear(): void
}

interface Load<V> {
  value: Promise<V>
  /** Milliseconds. A change may be missed from this moment on, so this is when the value's age begins. */
  begunAt: number
}

/** Over `maxEntries`, the one kept longest goes first. */
export function createCache<V>({ lifetimeMs, maxEntries, now, load }: CacheOptions<V>): Cache<V> {
  const kept = new Map<string, Load<V>>()
  const loading = new Map<string, Load<V>>()

  /** False when the load was dropped, or overtaken by a younger one. */
  const finish = (key: string, ended: Load<V>) => loading.get(key) === ended && loading.delete(key)

  const keep = (key: string, loaded: Load<V>) => {
    kept.set(key, loaded)
    for (const oldest of kept.keys()) {
      if (kept.size <= maxEntries) break
      kept.delete(oldest)
    }
  }

  const begin = (key: string, begunAt: number): Promise<V> => {
    const begun = { value: load(key), begunAt }
    loading.set(key, begun)
    begun.value.then(
      (value) => {
        if (finish(key, begun) && value !== undefined && value !== null) keep(key, begun)
      },
      () => finish(key, begun),
    )
    return begun.value
  }

  return {
    get: (key) => {
      const time = now().getTime()
      const found = kept.get(key) ?? loading.get(key)
      // A clock that was set back makes nothing live longer: what seems to come from the future is over.
      if (found && found.begunAt <= time && time < found.begunAt + lifetimeMs) return found.value
      kept.delete(key)
      return begin(key, time)
    },
    drop: (key) => {
      kept.delete(key)
      loading.delete(key)
    },
    clear: () => {
      kept.clear()
      loading.clear()
    },
  }
}
