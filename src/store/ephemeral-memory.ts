import { createListeners, type Listener } from './ephemeral-listeners.ts'

interface Entry {
  value: string
  /** Milliseconds of the store's clock. */
  expiresAt: number
}

interface MemoryOptions {
  now: () => Date
  /** Characters of keys and values together, each entry counted with an overhead. */
  limit?: number
  onError?: (error: Error) => void
}

const defaultLimit = 64 * 1024 * 1024
const entryOverhead = 100
const looksPerWrite = 20
const fullSweepEveryMilliseconds = 1000

/**
 * The ephemeral store of a single process. Nothing is dropped before its time: when the bound is reached and
 * nothing has expired, writes are refused. No timer runs; each write looks at a few entries and forgets the
 * expired, so memory follows the live entries and no single call is long.
 */
export function openMemoryStore({ now, limit = defaultLimit, onError = () => undefined }: MemoryOptions) {
  const listeners = createListeners(onError)
  const entries = new Map<string, Entry>()
  let used = 0
  let sweep = entries.entries()
  let fullSweepAt = Number.NEGATIVE_INFINITY

  const forget = (key: string, entry: Entry) => {
    entries.delete(key)
    used -= cost(key, entry.value)
  }

  const sweepSome = (looks: number) => {
    const time = now().getTime()
    for (let look = 0; look < looks; look++) {
      const next = sweep.next()
      if (next.done) {
        sweep = entries.entries()
        return
      }
      const [key, entry] = next.value
      if (entry.expiresAt <= time) forget(key, entry)
    }
  }

  /** Looks at everything at most once in a while, so that a full store stays cheap to ask. */
  const makeRoom = () => {
    const time = now().getTime()
    if (time < fullSweepAt + fullSweepEveryMilliseconds) return
    fullSweepAt = time
    sweep = entries.entries()
    sweepSome(entries.size + 1)
  }

  const find = (key: string): Entry | undefined => {
    const entry = entries.get(key)
    if (!entry || entry.expiresAt > now().getTime()) return entry
    forget(key, entry)
    return undefined
  }

  const put = (key: string, entry: Entry) => {
    sweepSome(looksPerWrite)
    const existing = find(key)
    const growth = cost(key, entry.value) - (existing ? cost(key, existing.value) : 0)
    if (growth > 0 && used + growth > limit) makeRoom()
    if (growth > 0 && used + growth > limit) throw new Error(`it is full (${limit} characters)`)
    entries.set(key, entry)
    used += growth
  }

  const expiry = (ttlSeconds: number) => now().getTime() + ttlSeconds * 1000

  return {
    get: async (key: string) => find(key)?.value,
    getMany: async (keys: readonly string[]) => keys.map((key) => find(key)?.value),
    set: async (key: string, value: string, ttlSeconds: number) =>
      put(key, { value, expiresAt: expiry(ttlSeconds) }),
    setIfAbsent: async (key: string, value: string, ttlSeconds: number) => {
      if (find(key)) return false
      put(key, { value, expiresAt: expiry(ttlSeconds) })
      return true
    },
    take: async (key: string) => {
      const entry = find(key)
      if (entry) forget(key, entry)
      return entry?.value
    },
    replace: async (key: string, expected: string, value: string) => {
      const entry = find(key)
      if (entry?.value !== expected) return false
      put(key, { value, expiresAt: entry.expiresAt })
      return true
    },
    delete: async (...keys: string[]) => {
      for (const key of keys) {
        const entry = entries.get(key)
        if (entry) forget(key, entry)
      }
    },
    increment: async (key: string, ttlSeconds: number) => {
      const entry = find(key)
      const count = wholeNumber(entry?.value ?? '0') + 1
      const expiresAt = entry?.expiresAt ?? expiry(ttlSeconds)
      put(key, { value: String(count), expiresAt })
      return { count, resetSeconds: Math.ceil((expiresAt - now().getTime()) / 1000) }
    },
    publish: async (channel: string, message: string) => listeners.deliver(channel, message),
    subscribe: async (channel: string, listener: Listener) => {
      const remove = listeners.add(channel, listener)
      return async () => remove()
    },
    ping: async () => undefined,
    close: async () => {
      listeners.clear()
      entries.clear()
      used = 0
    },
  }
}

function cost(key: string, value: string): number {
  return key.length + value.length + entryOverhead
}

/** As Redis does, a value that is not a counter is refused, never overwritten. */
function wholeNumber(value: string): number {
  const number = Number(value)
  if (value === '' || !Number.isSafeInteger(number)) throw new Error('the value is not an integer')
  return number
}
