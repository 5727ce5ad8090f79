import type { Middleware } from 'koa'

/**
 * RFC 9110 section 8.3: a type is for content. The engine calls the empty answer to a revocation text/plain, which
 * oidc-client-ts takes for an answer it cannot read.
 */
export const leaveOutType: Middleware = async (ctx, next) => {
  await next()
  if (ctx.body === '') ctx.remove('Content-Type')
}
