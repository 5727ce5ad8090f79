import type { Redis } from 'ioredis'
import { createListeners, type Listener } from './ephemeral-listeners.ts'
import { backoff } from './redis-connection.ts'

/** A lost network closes nothing: only a question that stays unanswered tells that nothing can be heard. */
const heartbeatMilliseconds = 2000

interface SubscriberOptions {
  prefix: string
  onError: (error: Error) => void
  /** A connection not begun yet, which ends for good when it is lost. */
  nextConnection: () => Redis
}

/**
 * The receiving half of publish and subscribe, on a connection of its own: opened by the first subscription, and
 * replaced whenever it is lost for as long as somebody listens. What is published in between is not heard.
 */
export function createSubscriber({ prefix, onError, nextConnection }: SubscriberOptions) {
  const listeners = createListeners(onError)
  let client: Redis | undefined
  let connection: Promise<Redis> | undefined
  let retry: NodeJS.Timeout | undefined
  let failures = 0
  let closed = false

  /** Of each attempt it is called once: when it fails, or when what it opened ends. */
  const lost = () => {
    connection = undefined
    if (closed) return
    failures += 1
    retry = setTimeout(() => {
      if (listeners.channels().length > 0) connected().catch(() => undefined)
    }, backoff(failures))
  }

  const connected = (): Promise<Redis> => {
    connection ??= open().catch((error: unknown) => {
      lost()
      throw error
    })
    return connection
  }

  const open = async (): Promise<Redis> => {
    clearTimeout(retry)
    const opening = nextConnection()
    client = opening
    opening.on('error', onError)
    opening.on('message', (channel, message) => listeners.deliver(channel.slice(prefix.length), message))
    try {
      await opening.connect()
      const channels = listeners.channels().map((channel) => prefix + channel)
      if (channels.length > 0) await opening.subscribe(...channels)
    } catch (error) {
      opening.disconnect()
      throw error
    }
    failures = 0
    // An answer that does not come in time makes the client give up the socket.
    const heartbeat = setInterval(() => opening.ping().catch(() => undefined), heartbeatMilliseconds)
    opening.once('end', () => {
      clearInterval(heartbeat)
      lost()
    })
    return opening
  }

  return {
    subscribe: async (channel: string, listener: Listener): Promise<() => Promise<void>> => {
      const remove = listeners.add(channel, listener)
      try {
        await (await connected()).subscribe(prefix + channel)
      } catch (error) {
        remove()
        throw error
      }
      return async () => {
        remove()
        const current = await connection?.catch(() => undefined)
        // Whoever came while we waited still wants it. A failure leaves messages that nobody is called for.
        if (!listeners.has(channel)) await current?.unsubscribe(prefix + channel).catch(() => undefined)
      }
    },
    close: () => {
      closed = true
      clearTimeout(retry)
      listeners.clear()
      client?.disconnect()
    },
  }
}
