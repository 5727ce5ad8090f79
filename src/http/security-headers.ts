import type { Random } from '../security/random.ts'
import type { HttpMiddleware } from './context.ts'

/**
 * Runs before the engine: it appends the digest of its own script (form_post, account switch) to this policy.
 * There is no form-action: browsers apply it to every redirect that follows a form, and ours end at relying parties
 * and upstreams that may redirect again. Forms are guarded by escaping and by the CSRF check instead.
 */
export function securityHeaders(issuer: string, random: Random): HttpMiddleware {
  const secure = issuer.startsWith('https:')
  return (ctx, next) => {
    ctx.state.nonce = random.token(16)
    ctx.set({
      'Content-Security-Policy': [
        "default-src 'none'",
        `script-src 'nonce-${ctx.state.nonce}'`,
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ].join('; '),
      // RFC 9700 section 4.16: a page that could grant something is never shown inside another page.
      'X-Frame-Options': 'DENY',
      'X-Content-Type-Options': 'nosniff',
      // RFC 9700 section 4.2.4: a code in our address must not travel on in a Referer.
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
      ...(secure ? { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' } : {}),
    })
    return next()
  }
}
