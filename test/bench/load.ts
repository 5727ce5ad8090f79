import { Client } from 'undici'

export interface Exchange {
  method: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body?: string
}

export interface Reply {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** One connection's share of the load: what it asks next, and what it makes of the answer. */
export interface Worker {
  /** Undefined when there is nothing left to ask. */
  next(): Exchange | undefined
  /** Throws at an answer that is not the one expected: figures of failures would mean nothing. */
  took(reply: Reply): void
}

export interface Load {
  seconds: number
  latenciesMs: number[]
}

/**
 * Closed loop: each worker has one kept-alive connection and asks again as soon as it was answered, until the time is
 * over or its work is. Requests under way at the end are waited for and counted, and so is the time they take.
 */
export async function applyLoad(origin: string, workers: readonly Worker[], seconds: number): Promise<Load> {
  const clients = workers.map(() => new Client(origin, { pipelining: 1 }))
  const latenciesMs: number[] = []
  const startedAt = performance.now()
  const deadline = startedAt + seconds * 1000
  try {
    await Promise.all(
      workers.map(async (worker, i) => {
        const client = clients[i]
        while (client && performance.now() < deadline) {
          const exchange = worker.next()
          if (!exchange) return
          const askedAt = performance.now()
          const reply = await ask(client, exchange)
          latenciesMs.push(performance.now() - askedAt)
          worker.took(reply)
        }
      }),
    )
    return { seconds: (performance.now() - startedAt) / 1000, latenciesMs }
  } finally {
    await Promise.all(clients.map((client) => client.destroy()))
  }
}

/** The cheapest way undici has: no streams, no response objects. The generator shares the machine with what it measures. */
function ask(client: Client, exchange: Exchange): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const reply: Reply = { status: 0, headers: {}, text: '' }
    client.dispatch(exchange, {
      onRequestStart() {},
      onResponseStart(_controller, status, headers) {
        reply.status = status
        reply.headers = headers
      },
      onResponseData(_controller, chunk) {
        reply.text += chunk.toString()
      },
      onResponseEnd: () => resolve(reply),
      onResponseError: (_controller, error) => reject(error),
    })
  })
}
