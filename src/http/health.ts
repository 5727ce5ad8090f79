import type { HttpContext, HttpMiddleware } from './context.ts'

/** Asks one dependency; rejects when it cannot serve. */
export type Probe = () => Promise<unknown>

/** Whoever asks whether this process is ready does not wait long; a dependency that takes longer cannot serve either. */
const patienceMs = 2_000

/**
 * /livez: the process answers. /readyz: it and every store it needs can serve; 503 names those that cannot, and
 * `draining` while the process ends. Before the host check, because load balancers ask by address.
 */
export function health(probes: Record<string, Probe>, isDraining: () => boolean): HttpMiddleware {
  const answer = async (ctx: HttpContext) => {
    ctx.set('Cache-Control', 'no-store')
    if (ctx.path === '/livez') {
      ctx.body = { status: 'ok' }
      return
    }
    const names = Object.keys(probes)
    const results = await Promise.allSettled(Object.values(probes).map(inTime))
    const failing = names.filter((_, i) => results[i]?.status === 'rejected')
    if (isDraining()) failing.push('draining')
    ctx.status = failing.length > 0 ? 503 : 200
    ctx.body = failing.length > 0 ? { status: 'unavailable', failing } : { status: 'ok' }
  }
  return (ctx, next) => (ctx.path === '/livez' || ctx.path === '/readyz' ? answer(ctx) : next())
}

async function inTime(probe: Probe): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, patienceMs, new Error('no answer in time'))
  })
  try {
    await Promise.race([probe(), late])
  } finally {
    clearTimeout(timer)
  }
}
