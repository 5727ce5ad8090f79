import { once } from 'node:events'
import { Cluster, Redis, type RedisOptions } from 'ioredis'

const commandTimeoutMilliseconds = 2000
const startTimeoutMilliseconds = 10_000

interface ConnectionOptions {
  keyPrefix: string
  scripts: Record<string, { lua: string; numberOfKeys: number }>
  onError: (error: Error) => void
}

/** Between attempts to connect: 50 ms doubling up to 1 s, so a server that is back is in use again soon. */
export function backoff(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt - 1, 5), 1000)
}

/**
 * What makes a command neither repeat nor hang. ioredis by default sends an unanswered command again after a
 * reconnect and waits without end for a server that is mute; here it is rejected, and the socket of a mute
 * server is given up so that nothing piles up behind it.
 */
const atMostOnce = {
  lazyConnect: true,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: commandTimeoutMilliseconds,
  socketTimeout: commandTimeoutMilliseconds + 500,
  connectTimeout: commandTimeoutMilliseconds,
  // A demoted primary answers READONLY: leave it, its address may lead to the new primary by now.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} satisfies RedisOptions

/**
 * Connects to one Redis, or to a Redis Cluster when the URL holds a comma. Resolves when the server is ready
 * and keeps what it is given; rejects when it cannot be reached or would evict keys.
 */
export async function connectRedis(url: string, options: ConnectionOptions): Promise<Redis | Cluster> {
  const client = url.includes(',') ? cluster(url.split(','), options) : single(url, options)
  client.on('error', options.onError)
  try {
    const ready = once(client, 'ready', { signal: AbortSignal.timeout(startTimeoutMilliseconds) })
    // Its rejection says only that the connection closed; the error event carries the reason.
    client.connect().catch(() => undefined)
    await ready
    const nodes = client instanceof Redis ? [client] : client.nodes('master')
    await Promise.all(nodes.map((node) => checkServer(node, client instanceof Cluster)))
    return client
  } catch (error) {
    client.disconnect()
    throw error
  }
}

/**
 * Opens connections of their own to the nodes the client knows, another node each time. Not begun yet; one that is
 * lost ends, and is not taken up again by itself.
 */
export function nodeConnections(client: Redis | Cluster): () => Redis {
  let turn = 0
  return () => {
    const nodes = client instanceof Redis ? [client] : client.nodes('all')
    const node = nodes[turn % nodes.length]
    if (!node) throw new Error('no node is known')
    turn += 1
    return node.duplicate({ lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => null })
  }
}

function single(url: string, { keyPrefix, scripts }: ConnectionOptions): Redis {
  return new Redis(url, {
    ...atMostOnce,
    keyPrefix,
    scripts,
    enableOfflineQueue: false,
    retryStrategy: backoff,
  })
}

function cluster(urls: string[], { keyPrefix, scripts }: ConnectionOptions): Cluster {
  const nodes = urls.filter((url) => url.trim() !== '').map((url) => new URL(url.trim()))
  const [first] = nodes
  if (!first) throw new Error('no node is named')
  const { lazyConnect, ...redisOptions } = atMostOnce
  return new Cluster(
    nodes.map((node) => ({ host: node.hostname, port: Number(node.port || 6379) })),
    {
      lazyConnect,
      keyPrefix,
      scripts,
      redisOptions: { ...redisOptions, ...credentials(first) },
      clusterRetryStrategy: backoff,
      // After a lost connection the command may have been applied: it is rejected, not sent again. Redirections
      // and CLUSTERDOWN are answers of a server that did not apply it, and are still followed.
      retryDelayOnFailover: 0,
      maxRedirections: 8,
      // A certificate names hosts, not the addresses they resolve to.
      ...(first.protocol === 'rediss:' && { dnsLookup: (host, found) => found(null, host) }),
    },
  )
}

/** Every node of a cluster is reached with what the first URL says. */
function credentials(url: URL) {
  return {
    ...(url.username ? { username: decodeURIComponent(url.username) } : {}),
    ...(url.password ? { password: decodeURIComponent(url.password) } : {}),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

/**
 * Refuses a server that would silently forget: a replay mark that is evicted is a replay allowed. INFO is asked
 * because hosted servers often forbid CONFIG; a server that forbids INFO as well is taken at its word.
 */
async function checkServer(node: Redis, isCluster: boolean): Promise<void> {
  const info = await node.info().catch((error: Error) => {
    if (/^(NOPERM|ERR unknown command)/.test(error.message)) return ''
    throw error
  })
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const policy = field('maxmemory_policy')
  if (Number(field('maxmemory') ?? 0) > 0 && policy !== 'noeviction') {
    throw new Error(
      `Redis would evict keys (maxmemory-policy ${policy}); set maxmemory-policy noeviction, or use a Redis of its own`,
    )
  }
  if (!isCluster && field('redis_mode') === 'cluster') {
    throw new Error('this Redis is a node of a cluster; name its nodes in REDIS_URL, separated by commas')
  }
}
