import type { Random } from '../security/random.ts'
import type { HttpContext, HttpMiddleware } from './context.ts'

/** No script at all; whoever shows a page adds what it needs: ours a nonce, the engine the digest of its own script. */
const policy = [
  "default-src 'none'",
  'script-src',
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * Runs before the engine: it appends the digest of its own script (form_post, account switch) to this policy.
 * There is no form-action: browsers apply it to every redirect that follows a form, and ours end at relying parties
 * and upstreams that may redirect again. Forms are guarded by escaping and by the CSRF check instead.
 */
export function securityHeaders(issuer: string): HttpMiddleware {
  const headers = Object.entries({
    'Content-Security-Policy': policy,
    // RFC 9700 section 4.16: a page that could grant something is never shown inside another page.
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    // RFC 9700 section 4.2.4: a code in our address must not travel on in a Referer.
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    ...(issuer.startsWith('https:') && {
      'Strict-Transport-Security': 'max-age=31536000; includeSubDomains',
    }),
  })
  return (ctx, next) => {
    for (const [name, value] of headers) ctx.res.setHeader(name, value)
    return next()
  }
}

/** Lets this answer show images of other hosts; each is given as its whole address, so that nothing else is let in. */
export function allowImages(ctx: HttpContext, images: readonly (string | undefined)[]): void {
  // CSP 3 section 6.7.2.8: a source has no query, and a comma or a semicolon would end it.
  const sources = images.flatMap((image) => {
    const url = image === undefined ? null : URL.parse(image)
    return url && !/[,;\s]/.test(url.pathname) ? [`${url.origin}${url.pathname}`] : []
  })
  if (sources.length === 0) return
  const current = ctx.response.get('Content-Security-Policy')
  ctx.set('Content-Security-Policy', current.replace('img-src', `img-src ${sources.join(' ')}`))
}

/** Lets this answer run the scripts that carry the nonce it returns. */
export function allowScripts(ctx: HttpContext, random: Random): string {
  const nonce = random.token(16)
  const current = ctx.response.get('Content-Security-Policy')
  ctx.set('Content-Security-Policy', current.replace('script-src', `script-src 'nonce-${nonce}'`))
  return nonce
}
