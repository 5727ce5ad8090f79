import { openMemoryStore } from './ephemeral-memory.ts'
import { openRedisStore } from './ephemeral-redis.ts'

/**
 * Values that may be lost at the price of signing in again. Every key ends by itself, and every operation
 * is atomic and touches one key (or keys of one hash tag), so it holds on a Redis Cluster as well.
 *
 * A TTL is a positive whole number of seconds (`RangeError` otherwise). Any operation may reject with
 * `StoreUnavailable`; whether it took effect is then unknown, and it is never repeated behind the caller's
 * back: a caller that was promised a single use must refuse, not try again.
 */
export interface Ephemeral {
  get(key: string): Promise<string | undefined>
  /** In the order of the keys, which must share one hash tag (`{...}`), `RangeError` otherwise. */
  getMany(keys: readonly string[]): Promise<(string | undefined)[]>
  set(key: string, value: string, ttlSeconds: number): Promise<void>
  /** True for exactly one of any number of callers. */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean>
  /** Reads and deletes in one step: exactly one of any number of callers receives the value. */
  take(key: string): Promise<string | undefined>
  /** Compare-and-set that keeps the remaining TTL: true for exactly one caller per expected value. */
  replace(key: string, expected: string, value: string): Promise<boolean>
  /** The keys may lie in different slots; each is deleted on its own. */
  delete(...keys: string[]): Promise<void>
  /** Steps a fixed window: the TTL is set by the first step only, `resetSeconds` is what remains of it. */
  increment(key: string, ttlSeconds: number): Promise<{ count: number; resetSeconds: number }>
  /**
   * Tells whoever listens at this moment, in every process over the same store; resolves without knowing who heard.
   * In one process the listeners have been called when it returns.
   */
  publish(channel: string, message: string): Promise<void>
  /**
   * Resolves once the channel is listened to, with what ends that. Messages come in the order they were published,
   * except on a Redis Cluster. A lost connection is replaced by itself, but what is published in between is lost: a
   * message is a hint to do at once what would be done a little later anyway.
   */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>
  ping(): Promise<void>
  close(): Promise<void>
}

/** The store did not answer, answered too late, or refused. Callers answer 503. */
export class StoreUnavailable extends Error {
  constructor(cause: unknown) {
    super(`the ephemeral store is unavailable: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
    this.name = 'StoreUnavailable'
  }
}

export interface EphemeralOptions {
  /** Unset: in this process. One URL: that Redis. With a comma: a Redis Cluster and the nodes to find it by. */
  redisUrl?: string | undefined
  /** Put before each key and channel; holds no braces, so that hash tags stay the keys' own. */
  prefix?: string | undefined
  /** The clock of the in-process store; Redis keeps its own. By default one that never jumps. */
  now?: (() => Date) | undefined
  /** Told of each connection failure, after which the client reconnects by itself, and of a listener that threw. */
  onError?: ((error: Error) => void) | undefined
}

/**
 * Resolves once the store answers and is safe to use; rejects with `StoreUnavailable` when it is not.
 * @see Ephemeral
 */
export async function openEphemeral(options: EphemeralOptions): Promise<Ephemeral> {
  const prefix = options.prefix ?? 'hitotsu:'
  if (/[{}]/.test(prefix)) throw new RangeError('the key prefix may not hold braces')
  const monotonic = () => new Date(performance.timeOrigin + performance.now())
  const onError = options.onError ?? (() => undefined)
  if (!options.redisUrl) return guarded(openMemoryStore({ now: options.now ?? monotonic, onError }))
  return guarded(await openRedisStore(options.redisUrl, { prefix, onError }).catch(unavailable))
}

/** Single authority over what callers may ask of a store and which error they see. */
export function guarded(store: Ephemeral): Ephemeral {
  let closed = false
  const run = async <T>(operation: () => Promise<T>): Promise<T> => {
    if (closed) throw new StoreUnavailable(new Error('it was closed'))
    return await operation().catch(unavailable)
  }
  return {
    get: (key) => run(() => store.get(key)),
    getMany: async (keys) => {
      if (new Set(keys.map(hashTag)).size > 1) throw new RangeError('the keys do not share one hash tag')
      return keys.length === 0 ? [] : await run(() => store.getMany(keys))
    },
    set: async (key, value, ttlSeconds) => {
      checkTtl(ttlSeconds)
      return await run(() => store.set(key, value, ttlSeconds))
    },
    setIfAbsent: async (key, value, ttlSeconds) => {
      checkTtl(ttlSeconds)
      return await run(() => store.setIfAbsent(key, value, ttlSeconds))
    },
    take: (key) => run(() => store.take(key)),
    replace: (key, expected, value) => run(() => store.replace(key, expected, value)),
    delete: (...keys) => run(() => store.delete(...keys)),
    increment: async (key, ttlSeconds) => {
      checkTtl(ttlSeconds)
      return await run(() => store.increment(key, ttlSeconds))
    },
    publish: (channel, message) => run(() => store.publish(channel, message)),
    subscribe: (channel, listener) => run(() => store.subscribe(channel, listener)),
    ping: () => run(() => store.ping()),
    close: async () => {
      if (closed) return
      closed = true
      await store.close()
    },
  }
}

function checkTtl(ttlSeconds: number): void {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1) {
    throw new RangeError(`a TTL is a positive whole number of seconds, not ${ttlSeconds}`)
  }
}

/** The part of a key that decides its slot: the first non-empty `{...}`, else the whole key (Redis Cluster specification, hash tags). */
function hashTag(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open)
  return open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key
}

function unavailable(cause: unknown): never {
  throw new StoreUnavailable(cause)
}
