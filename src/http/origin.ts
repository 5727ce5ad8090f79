import type Koa from 'koa'
import { Problem } from '../problem.ts'
import type { HttpMiddleware } from './context.ts'

/**
 * Makes a Koa application believe its configured origin instead of the request's headers: the engine builds endpoint
 * addresses, audiences and cookies from these.
 */
export function pinOrigin(app: Pick<Koa, 'request'>, issuer: string): void {
  const { host, protocol } = new URL(issuer)
  Object.defineProperties(app.request, {
    host: { get: () => host },
    protocol: { get: () => protocol.slice(0, -1) },
    secure: { get: () => protocol === 'https:' },
  })
}

/**
 * Refuses a request that was meant for another host, or whose framing proxies read in different ways (RFC 9112
 * sections 3.2 and 6.1): Node's parser lets a second Host, an absolute target and odd transfer codings through. A NUL is
 * refused with them: no address of ours has one, and PostgreSQL holds no text with one.
 */
export function refuseMisdirected(issuer: string): HttpMiddleware {
  const { host } = new URL(issuer)
  return (ctx, next) => {
    const { rawHeaders, url = '' } = ctx.req
    const hosts = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'host')
    const coding = ctx.get('Transfer-Encoding')
    if (hosts.length !== 1 || hosts[0] !== host) throw new Problem('misdirected_request')
    if (!url.startsWith('/') || url.includes('%00') || (coding !== '' && coding.toLowerCase() !== 'chunked'))
      throw new Problem('invalid_input')
    return next()
  }
}
